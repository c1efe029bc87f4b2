// pixel_shuffle, pixel_unshuffle, channel_shuffle.
#include <string>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

// What an order of channels is listed for.
constexpr int64_t kMaxChannels = 1 << 20;

// Axes before the last three as one, and back.
class Images {
 public:
  Images(const AtenCall& call, Value* self)
      : builder_(call.builder()), rank_(builder_.rank(self)) {
    if (rank_ < 3)
      call.unsupported("found a tensor of rank " + std::to_string(rank_) +
                       ", expected at least 3");
    for (int64_t i = 0; i < rank_ - 3; ++i)
      lead_.push_back(size_of(builder_, self, i));
    if (rank_ == 4) {
      value = self;
      return;
    }
    Sizes sizes{Argument::of_int(-1)};
    for (int64_t i = rank_ - 3; i < rank_; ++i)
      sizes.push_back(size_of(builder_, self, i));
    value = rank_ == 3 ? builder_.unsqueeze(self, {0})
                       : reshape_to(builder_, self, sizes);
  }

  Value* restored(Value* result) {
    if (rank_ == 4) return result;
    if (rank_ == 3) return builder_.squeeze(result, {0});
    Sizes sizes = lead_;
    for (int64_t i = 1; i < 4; ++i)
      sizes.push_back(size_of(builder_, result, i));
    return reshape_to(builder_, result, sizes);
  }

  Value* value;  // [N, C, H, W]

 private:
  OnnxBuilder& builder_;
  int64_t rank_;
  Sizes lead_;
};

int64_t factor_of(const AtenCall& call, const char* argument) {
  const int64_t factor = call.integer(argument);
  if (factor <= 0 || factor > (1 << 15))
    call.unsupported("argument '" + std::string(argument) + "' is " +
                     std::to_string(factor) + ", expected a positive number");
  return factor;
}

}  // namespace

Arguments emit_pixel_shuffle(const AtenCall& call) {
  Images images(call, call.tensor("self"));
  const int64_t factor = factor_of(call, "upscale_factor");
  return one(images.restored(
      call.builder().op("DepthToSpace", {images.value},
                        {{"blocksize", factor}, {"mode", "CRD"}})));
}

// SpaceToDepth counts channels within an offset, PyTorch offsets within a
// channel.
Arguments emit_pixel_unshuffle(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Images images(call, call.tensor("self"));
  const int64_t factor = factor_of(call, "downscale_factor");
  const int64_t channels =
      builder.dim(images.value, 1, "the number of channels");
  Value* packed =
      builder.op("SpaceToDepth", {images.value}, {{"blocksize", factor}});
  if (channels > 1) {
    const int64_t area = factor * factor;
    if (channels > kMaxChannels / area)
      call.unsupported("makes more than " + std::to_string(kMaxChannels) +
                       " channels");
    std::vector<int64_t> order;
    for (int64_t i = 0; i < channels; ++i)
      for (int64_t j = 0; j < area; ++j) order.push_back(j * channels + i);
    packed = builder.op("Gather", {packed, builder.ints(order)},
                        {{"axis", int64_t{1}}});
  }
  return one(images.restored(packed));
}

Arguments emit_channel_shuffle(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank < 3)
    call.unsupported("found a tensor of rank " + std::to_string(rank) +
                     ", expected at least 3");
  const int64_t groups = call.integer("groups");
  if (groups <= 0)
    call.unsupported("groups is " + std::to_string(groups) +
                     ", expected a positive number");
  const int64_t channels = builder.dim(self, 1, "the number of channels");
  const Sizes sizes = sizes_of(builder, self);
  Sizes grouped = sizes;
  grouped[1] = Argument::of_int(channels / groups);
  grouped.insert(grouped.begin() + 1, Argument::of_int(groups));
  std::vector<int64_t> order = order_with_first({}, rank + 1);
  std::swap(order[1], order[2]);
  Value* shuffled =
      builder.transpose(reshape_to(builder, self, grouped), order);
  return one(reshape_to(builder, shuffled, sizes));
}

}  // namespace lathe::io::aten
