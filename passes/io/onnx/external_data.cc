#include "passes/io/onnx/external_data.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <vector>

#include "passes/base/error.h"

namespace lathe::io {
namespace {

namespace fs = std::filesystem;

// How often the bytes of one file may be copied because their offsets do not
// fit the element type.
constexpr uint64_t kMaxUnalignedCopies = 4;
constexpr const char* kOutsideHint =
    "external data must stay in the model's folder or below it";

std::optional<uint64_t> parse_number(const std::string& text) {
  uint64_t number = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return std::nullopt;
  return number;
}

bool is_below(const fs::path& path, const fs::path& folder) {
  auto [in_folder, in_path] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  // A trailing slash gives the folder an empty last component.
  return in_folder == folder.end() ||
         (in_folder->empty() && std::next(in_folder) == folder.end());
}

}  // namespace

fs::path ExternalReader::resolve(const std::string& location,
                                 const std::string& subject) const {
  std::string what = subject + " keeps its data in '" + location + "', which ";
  if (location.empty() || location.find('\0') != std::string::npos)
    throw_input(where_, subject + " names no file for its external data");
  if (folder_.empty())
    throw_input(where_, what + "cannot be found: the model has no folder",
                "read the model from its file");
  fs::path relative(location);
  if (relative.is_absolute())
    throw_input(where_, what + "is an absolute path", kOutsideHint);
  fs::path normal = relative.lexically_normal();
  if (!normal.empty() && *normal.begin() == "..")
    throw_input(where_, what + "is outside the model's folder", kOutsideHint);
  std::error_code error;
  fs::path folder = fs::canonical(folder_, error);
  fs::path path;
  if (!error) path = fs::weakly_canonical(folder_ / relative, error);
  if (error)
    throw_input(where_, what + "cannot be resolved: " + error.message());
  if (!is_below(path, folder))
    throw_input(where_, what + "a link takes outside the model's folder",
                kOutsideHint);
  if (!fs::exists(path, error))
    throw_input(where_, what + "does not exist",
                "copy the data file along with the model");
  if (!fs::is_regular_file(path, error))
    throw_input(where_, what + "is not a regular file");
  return path;
}

ir::Bytes ExternalReader::read(const onnx::TensorProto& tensor, uint64_t needed,
                               const std::string& subject) {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() != "offset" && entry.key() != "length") continue;
    auto number = parse_number(entry.value());
    if (!number)
      throw_input(where_, subject + " has the " + entry.key() + " '" +
                              entry.value() +
                              "' for its external data, expected a number of "
                              "bytes from 0");
    if (entry.key() == "offset")
      offset = *number;
    else
      length = number;
  }
  File& file = files_[location];
  if (!file.mapping)
    file.mapping = MappedFile::open(resolve(location, subject));
  uint64_t wanted = length.value_or(needed);
  auto bytes = file.mapping->bytes();
  if (offset > bytes.size() || wanted > bytes.size() - offset)
    throw_input(where_,
                subject + " needs " + std::to_string(wanted) +
                    " bytes from offset " + std::to_string(offset) + " of '" +
                    location + "', which has " + std::to_string(bytes.size()),
                "the data file is cut short or belongs to another model");
  // Such tensors are copied, so overlapping ones could ask for any amount.
  if (offset % 8 != 0) file.unaligned_bytes += wanted;
  if (file.unaligned_bytes / kMaxUnalignedCopies > bytes.size())
    throw_unsupported(where_,
                      "tensors that overlap in '" + location +
                          "' at offsets that are no multiple of 8 take more "
                          "memory than Lathe allows",
                      "save the model again with aligned external data");
  return ir::Bytes(file.mapping, bytes.subspan(static_cast<size_t>(offset),
                                               static_cast<size_t>(wanted)));
}

void ExternalWriter::place(std::span<const std::byte> bytes,
                           onnx::TensorProto& proto) {
  placed_bytes_ += bytes.size();
  auto [it, is_new] =
      offsets_.try_emplace({bytes.data(), bytes.size()}, uint64_t{0});
  if (is_new) {
    // A page for what is worth mapping, a cache line for the rest.
    uint64_t alignment = bytes.size() >= 4096 ? 4096 : 64;
    uint64_t start = (end_ + alignment - 1) / alignment * alignment;
    if (file_) {
      std::vector<std::byte> padding(static_cast<size_t>(start - end_));
      file_->write(std::span<const std::byte>(padding));
      file_->write(bytes);
    }
    it->second = start;
    end_ = start + bytes.size();
  }
  proto.set_data_location(onnx::TensorProto::EXTERNAL);
  auto add = [&](const char* key, std::string value) {
    auto& entry = *proto.add_external_data();
    entry.set_key(key);
    entry.set_value(std::move(value));
  };
  add("location", location_);
  add("offset", std::to_string(it->second));
  add("length", std::to_string(bytes.size()));
}

}  // namespace lathe::io
