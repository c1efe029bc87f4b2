// Format "idx": the files of MNIST, plain or compressed by gzip. Two zero
// bytes, the element type (8: uint8), the number of dimensions, the dimensions
// as big-endian 32-bit numbers, then the elements.
#include <fmt/format.h>

#include "calibration/data/descriptor.h"
#include "calibration/data/file_set.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{2} << 30;

struct IdxFile {
  std::vector<int64_t> dims;
  Blob blob;
  uint64_t offset = 0;  // of the first element
};

IdxFile read_idx(const std::filesystem::path& path) {
  IdxFile file{{}, Blob::open_file(path)};
  const std::string where = path.string();
  if (file.blob.size() >= 2 && file.blob.read(0, 2) == "\x1f\x8b")
    file.blob = Blob::memory(
        gunzip(file.blob.read_all(kMaxBytes), kMaxBytes, where), where);
  using namespace std::string_view_literals;
  if (file.blob.size() < 4 || file.blob.read(0, 2) != "\0\0"sv)
    throw_input(where, "not an idx file");
  const std::string magic = file.blob.read(0, 4);
  if (magic[2] != 8)
    throw_unsupported(where, fmt::format("idx elements of type {:#04x}, "
                                         "expected 0x08 (uint8)",
                                         static_cast<uint8_t>(magic[2])));
  const auto rank = static_cast<uint8_t>(magic[3]);
  if (rank < 1 || rank > 4)
    throw_input(where, fmt::format("an idx file of {} dimensions, expected 1 "
                                   "to 4",
                                   rank));
  const std::string header = file.blob.read(4, 4u * rank);
  for (size_t i = 0; i < rank; ++i) {
    uint32_t dim = 0;
    for (size_t k = 0; k < 4; ++k)
      dim = dim << 8 | static_cast<uint8_t>(header[4 * i + k]);
    file.dims.push_back(dim);
  }
  file.offset = 4 + 4u * rank;
  const uint64_t count = ir::element_count(file.dims, where);
  if (file.blob.size() - file.offset != count)
    throw_input(where, fmt::format("holds {} elements, its header says {} "
                                   "({})",
                                   file.blob.size() - file.offset, count,
                                   fmt::join(file.dims, "x")));
  return file;
}

class IdxImages : public SampleSet {
 public:
  explicit IdxImages(const OpenContext& context)
      : images_(read_idx(context.descriptor.path)),
        transform_(context.descriptor.image,
                   choose_input(context.inputs, context.descriptor.input,
                                context.descriptor.where("input")),
                   context.descriptor.where("image")),
        description_("idx " + context.descriptor.path.filename().string()) {
    const Descriptor& descriptor = context.descriptor;
    const auto& dims = images_.dims;
    const bool interleaved = dims.size() == 4 && (dims[3] == 1 || dims[3] == 3);
    if (dims.size() != 3 && !interleaved)
      throw_input(descriptor.path.string(),
                  fmt::format("holds {}, expected images: count x height x "
                              "width, or with 1 or 3 channels after that",
                              fmt::join(dims, "x")));
    channels_ = interleaved ? dims[3] : 1;
    if (dims[1] == 0 || dims[2] == 0 || dims[1] > kMaxImagePixels / dims[2])
      throw_input(descriptor.path.string(),
                  fmt::format("images of {}x{} pixels", dims[1], dims[2]));
    if (!descriptor.labels_file.empty()) read_labels(descriptor);
  }

  int64_t size() const override { return images_.dims[0]; }
  bool has_labels() const override { return !labels_.empty(); }
  std::string description() const override { return description_; }
  std::string name(int64_t index) const override {
    return fmt::format("{}: image {}", images_.blob.name(), index);
  }
  bool has_images() const override { return true; }
  Sample load(int64_t index,
              const std::optional<Variation>& variation) const override {
    const int64_t height = images_.dims[1], width = images_.dims[2];
    const auto bytes = static_cast<uint64_t>(height * width * channels_);
    const std::string pixels = images_.blob.read(
        images_.offset + static_cast<uint64_t>(index) * bytes, bytes);
    Sample sample;
    sample.inputs.emplace_back(
        transform_.input().name,
        transform_.from_pixels(
            {reinterpret_cast<const uint8_t*>(pixels.data()), pixels.size()},
            height, width, channels_, name(index), variation));
    if (has_labels())
      sample.label = static_cast<uint8_t>(labels_[static_cast<size_t>(index)]);
    return sample;
  }

 private:
  void read_labels(const Descriptor& descriptor) {
    const IdxFile file = read_idx(descriptor.labels_file);
    const std::string where = descriptor.labels_file.string();
    if (file.dims.size() != 1)
      throw_input(where, fmt::format("holds {}, expected one label an image",
                                     fmt::join(file.dims, "x")));
    if (file.dims[0] != images_.dims[0])
      throw_input(where, fmt::format("has {} labels for {} images",
                                     file.dims[0], images_.dims[0]));
    labels_ = file.blob.read(file.offset, static_cast<uint64_t>(file.dims[0]));
  }

  IdxFile images_;
  int64_t channels_ = 1;
  ImageTransform transform_;
  std::string labels_;  // a byte each
  std::string description_;
};

}  // namespace

std::shared_ptr<const SampleSet> open_idx(const OpenContext& context) {
  return std::make_shared<IdxImages>(context);
}

}  // namespace lathe::data
