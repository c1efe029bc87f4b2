#include "passes/io/onnx/unreadable.h"

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::io {
namespace {

struct Format {
  size_t offset;
  std::string_view magic;
  const char* looks_like;
  const char* hint;
};

using namespace std::string_view_literals;

constexpr Format kFormats[] = {
    {0, "version https://git-lfs"sv, "is a Git LFS pointer",
     "run `git lfs pull` to fetch the file itself"},
    {0, "PK\x03\x04"sv, "looks like a zip archive, as PyTorch saves them",
     "export the model to ONNX first"},
    {0, "\x80\x02"sv, "looks like a Python pickle",
     "export the model to ONNX first"},
    {0, "\x89HDF"sv, "looks like an HDF5 file, as Keras saves them",
     "export the model to ONNX first"},
    {4, "TFL3"sv, "looks like a TensorFlow Lite model",
     "convert the model to ONNX first"},
    {4, "ORTM"sv, "looks like a model in ONNX Runtime's own format",
     "use the .onnx file it was made from"},
    {0, "\x1f\x8b"sv, "looks like a gzip archive", "unpack it first"},
    {0, "<"sv, "looks like a web page or XML",
     "the download failed or the address was wrong"},
    {0, "{"sv, "looks like JSON", "a model is a binary .onnx file"},
    {0, "ir_version"sv, "looks like a model in protobuf's text form",
     "convert it to a binary .onnx file with protoc --encode"},
};

}  // namespace

void throw_unreadable(std::string_view bytes, const std::string& where,
                      const char* thing) {
  std::string what = std::string("is not a readable ONNX ") + thing;
  if (bytes.empty())
    throw_input(where, what + ": the file is empty",
                "fetch or export it again");
  std::string_view text = trim(bytes.substr(0, 64));
  for (const Format& format : kFormats) {
    std::string_view from =
        format.magic == "<" || format.magic == "{" ? text : bytes;
    if (from.size() >= format.offset &&
        from.substr(format.offset).starts_with(format.magic))
      throw_input(where, what + ": it " + format.looks_like, format.hint);
  }
  throw_input(where, what,
              "it may be cut short or damaged; fetch or export "
              "it again");
}

}  // namespace lathe::io
