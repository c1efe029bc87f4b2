// The table of data formats: a format is one file and one row here.
#include "calibration/data/descriptor.h"

namespace lathe::data {
namespace {

constexpr Format kFormats[] = {
    {.name = "image-folder",
     .path_kind = "a folder or tar archive of images, a folder a class",
     .image = true,
     .files = true,
     .labels = LabelForm::kRules,
     .open = open_image_folder},
    {.name = "image-list",
     .path_kind = "a folder or tar archive of images, listed in a csv file",
     .image = true,
     .labels = LabelForm::kRules,
     .open = open_image_list},
    {.name = "cifar-binary",
     .path_kind = "a CIFAR binary file (.bin, .bin.gz), a folder or tar "
                  "archive of them",
     .image = true,
     .files = true,
     .open = open_cifar_binary},
    {.name = "idx",
     .path_kind = "an idx file of images (plain or .gz)",
     .image = true,
     .labels = LabelForm::kFile,
     .open = open_idx},
    {.name = "npy",
     .path_kind = "a .npy file",
     .labels = LabelForm::kFile,
     .open = open_npy},
    {.name = "npz", .path_kind = "an .npz file", .open = open_npz},
    {.name = "wav",
     .path_kind = "a folder or tar archive of 16-bit wav files, or one file",
     .audio = true,
     .files = true,
     .labels = LabelForm::kRules,
     .open = open_wav},
    {.name = "onnx-testcase",
     .path_kind = "a folder test_data_set_N, or one that holds several",
     .open = open_onnx_testcase},
    {.name = "procedural",
     .path_kind = "",
     .generated = true,
     .open = open_procedural},
    {.name = "synthetic",
     .path_kind = "",
     .generated = true,
     .open = open_synthetic},
};

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format* find_format(const std::string& name) {
  for (const Format& format : kFormats)
    if (name == format.name) return &format;
  return nullptr;
}

}  // namespace lathe::data
