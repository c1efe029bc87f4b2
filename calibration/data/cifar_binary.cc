// Format "cifar-binary": records of one label byte (CIFAR-10) or two, coarse
// and fine (CIFAR-100), and 3 planes of 32x32 pixels, red, green and blue.
#include <fmt/format.h>

#include "calibration/data/descriptor.h"
#include "calibration/data/file_set.h"
#include "passes/base/error.h"

namespace lathe::data {
namespace {

constexpr int64_t kSide = 32;
constexpr uint64_t kPixels = 3 * kSide * kSide;
// CIFAR's own files have up to 154 MB.
constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

class CifarBinary : public SampleSet {
 public:
  explicit CifarBinary(const OpenContext& context)
      : transform_(context.descriptor.image,
                   choose_input(context.inputs, context.descriptor.input,
                                context.descriptor.where("input")),
                   context.descriptor.where("image")),
        description_("cifar-binary " +
                     context.descriptor.path.filename().string()) {
    const Descriptor& descriptor = context.descriptor;
    for (const DataFile& file :
         open_files(descriptor.path, {{".bin", ".bin.gz"}, descriptor.files}))
      add(file.blob);
    if (parts_.empty())
      throw_input(
          descriptor.where("path"),
          fmt::format("'{}' holds no .bin file", descriptor.path.string()));
  }

  int64_t size() const override { return size_; }
  bool has_labels() const override { return true; }
  std::string description() const override { return description_; }
  std::string name(int64_t index) const override {
    const auto [part, record] = find(index);
    return fmt::format("{}: record {}", part->blob.name(), record);
  }

  bool has_images() const override { return true; }
  Sample load(int64_t index,
              const std::optional<Variation>& variation) const override {
    const auto [part, record] = find(index);
    const uint64_t bytes = part->label_bytes + kPixels;
    const std::string data =
        part->blob.read(static_cast<uint64_t>(record) * bytes, bytes);
    const auto* planes =
        reinterpret_cast<const uint8_t*>(data.data()) + part->label_bytes;
    std::vector<uint8_t> pixels(kPixels);
    for (size_t i = 0; i < kPixels / 3; ++i)
      for (size_t c = 0; c < 3; ++c)
        pixels[3 * i + c] = planes[c * kPixels / 3 + i];
    Sample sample;
    sample.inputs.emplace_back(transform_.input().name,
                               transform_.from_pixels(pixels, kSide, kSide, 3,
                                                      name(index), variation));
    sample.label = planes[-1];
    return sample;
  }

 private:
  struct Part {
    Blob blob;
    uint64_t label_bytes;
    int64_t records;
  };

  void add(const Blob& file) {
    Blob blob = file;
    if (file.name().ends_with(".gz"))
      blob =
          Blob::memory(gunzip(file.read_all(kMaxBytes), kMaxBytes, file.name()),
                       file.name());
    for (const uint64_t label_bytes : {1u, 2u}) {
      if (blob.size() == 0 || blob.size() % (label_bytes + kPixels) != 0)
        continue;
      const auto records =
          static_cast<int64_t>(blob.size() / (label_bytes + kPixels));
      size_ += records;
      parts_.push_back({std::move(blob), label_bytes, records});
      return;
    }
    throw_input(file.name(),
                fmt::format("has {} bytes, expected records of {} (CIFAR-10) "
                            "or {} (CIFAR-100)",
                            blob.size(), kPixels + 1, kPixels + 2));
  }

  std::pair<const Part*, int64_t> find(int64_t index) const {
    for (const Part& part : parts_) {
      if (index < part.records) return {&part, index};
      index -= part.records;
    }
    throw_internal(description_, "no such sample");
  }

  ImageTransform transform_;
  std::vector<Part> parts_;
  int64_t size_ = 0;
  std::string description_;
};

}  // namespace

std::shared_ptr<const SampleSet> open_cifar_binary(const OpenContext& context) {
  return std::make_shared<CifarBinary>(context);
}

}  // namespace lathe::data
