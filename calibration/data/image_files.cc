// Formats "image-folder" and "image-list": encoded images, one a file.
#include <fmt/format.h>

#include "calibration/data/descriptor.h"
#include "calibration/data/file_set.h"
#include "calibration/data/labels.h"
#include "passes/base/error.h"

namespace lathe::data {
namespace {

class ImageFiles : public SampleSet {
 public:
  ImageFiles(const OpenContext& context, LabelledFiles files)
      : files_(std::move(files)),
        transform_(context.descriptor.image,
                   choose_input(context.inputs, context.descriptor.input,
                                context.descriptor.where("input")),
                   context.descriptor.where("image")),
        description_(fmt::format("{} {}", context.descriptor.format,
                                 context.descriptor.path.filename().string())) {
    if (has_labels())
      description_ += fmt::format(", {} classes", files_.classes);
  }

  int64_t size() const override {
    return static_cast<int64_t>(files_.files.size());
  }
  bool has_labels() const override { return !files_.labels.empty(); }
  std::string description() const override { return description_; }
  std::string name(int64_t i) const override { return blob(i).name(); }
  bool has_images() const override { return true; }
  Sample load(int64_t i,
              const std::optional<Variation>& variation) const override {
    Sample sample;
    sample.inputs.emplace_back(transform_.input().name,
                               transform_.from_encoded(blob(i), variation));
    if (has_labels()) sample.label = files_.labels[static_cast<size_t>(i)];
    return sample;
  }

 private:
  const Blob& blob(int64_t i) const {
    return files_.files[static_cast<size_t>(i)].blob;
  }
  LabelledFiles files_;
  ImageTransform transform_;
  std::string description_;
};

}  // namespace

std::shared_ptr<const SampleSet> open_image_folder(const OpenContext& context) {
  const Descriptor& descriptor = context.descriptor;
  FileSet files = open_files(
      descriptor.path, {{".jpg", ".jpeg", ".png", ".bmp"}, descriptor.files});
  if (files.empty())
    throw_input(descriptor.where("path"),
                fmt::format("'{}' holds no .jpg, .png or .bmp file{}",
                            descriptor.path.string(),
                            descriptor.files.empty()
                                ? ""
                                : " that matches '" + descriptor.files + "'"));
  return std::make_shared<ImageFiles>(
      context, label_files(std::move(files), descriptor));
}

std::shared_ptr<const SampleSet> open_image_list(const OpenContext& context) {
  return open_image_folder(context);
}

}  // namespace lathe::data
