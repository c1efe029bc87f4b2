#include "passes/io/torch/archive/torch_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/torch/archive/storage_type.h"
#include "passes/io/torch/archive/torch_file.h"

namespace lathe::io {
namespace {

constexpr uint64_t kMaxExpandedBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxRepeats = 16;

bool is_contiguous(const std::vector<int64_t>& sizes,
                   const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] != 1 && strides[i] != expected) return false;
    expected *= sizes[i];
  }
  return true;
}

// Every element in row-major order. `source` points to the first one.
void gather(const std::byte* source, size_t element_bytes,
            const std::vector<int64_t>& sizes,
            const std::vector<int64_t>& strides, std::byte* out) {
  const size_t rank = sizes.size();
  std::vector<int64_t> index(rank, 0);
  int64_t at = 0;
  for (;;) {
    std::memcpy(out, source + at * static_cast<int64_t>(element_bytes),
                element_bytes);
    out += element_bytes;
    size_t axis = rank;
    for (; axis > 0; --axis) {
      if (++index[axis - 1] < sizes[axis - 1]) {
        at += strides[axis - 1];
        break;
      }
      at -= strides[axis - 1] * (sizes[axis - 1] - 1);
      index[axis - 1] = 0;
    }
    if (axis == 0) return;
  }
}

// PyTorch writes bools as bytes; any but 0 counts as true.
ir::Bytes clean_bools(ir::Bytes bytes) {
  const auto clean = [](std::byte b) { return b <= std::byte{1}; };
  const auto span = bytes.span();
  if (std::all_of(span.begin(), span.end(), clean)) return bytes;
  std::vector<std::byte> copy(span.begin(), span.end());
  for (std::byte& b : copy) b = b == std::byte{0} ? b : std::byte{1};
  return ir::Bytes::own(std::move(copy));
}

size_t element_bytes_of(ir::DataType type) {
  return static_cast<size_t>(ir::bits_per_element(type)) / 8;
}

}  // namespace

void check_layout(ir::DataType type, uint64_t storage_elements, int64_t offset,
                  const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides,
                  const std::string& where) {
  const uint64_t count = ir::element_count(sizes, where);
  if (strides.size() != sizes.size())
    throw_input(where, fmt::format("has {} sizes and {} strides", sizes.size(),
                                   strides.size()));
  if (offset < 0)
    throw_input(where,
                fmt::format("starts at element {} of its storage", offset));
  if (count == 0) return;
  bool overflow = false;
  int64_t last = offset;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t span = 0;
    if (strides[i] < 0)
      throw_input(where, fmt::format("has the negative stride {}", strides[i]));
    overflow |= __builtin_mul_overflow(sizes[i] - 1, strides[i], &span);
    overflow |= __builtin_add_overflow(last, span, &last);
  }
  if (overflow || static_cast<uint64_t>(last) >= storage_elements)
    throw_input(where,
                fmt::format("sizes [{}] and strides [{}] from element "
                            "{} reach outside its storage of {} "
                            "elements",
                            fmt::join(sizes, ","), fmt::join(strides, ","),
                            offset, storage_elements));
  const uint64_t bytes = ir::packed_bytes(type, count);
  if (count > storage_elements && bytes > kMaxExpandedBytes)
    throw_unsupported(
        where,
        fmt::format("sizes [{}] expand a storage of {} elements to {}, "
                    "expected at most {}",
                    fmt::join(sizes, ","), storage_elements,
                    format_bytes(bytes), format_bytes(kMaxExpandedBytes)));
}

ir::Bytes checked_storage(const ZipArchive& archive, const std::string& folder,
                          const PickledTensor& tensor, const std::string& where,
                          ir::DataType* type) {
  const auto known = data_type_of_storage(tensor.storage_type);
  if (!known)
    throw_input(where, fmt::format("its storage is of the unknown type '{}'",
                                   printable(tensor.storage_type)));
  *type = *known;
  if (tensor.storage_elements < 0)
    throw_input(where, fmt::format("its storage has {} elements",
                                   tensor.storage_elements));
  const auto elements = static_cast<uint64_t>(tensor.storage_elements);
  check_layout(*known, elements, tensor.offset, tensor.sizes, tensor.strides,
               where);
  if (elements == 0) return {};
  if (archive.has("byteorder") && archive.read_text("byteorder", 64) == "big")
    throw_unsupported(where, "was saved on a big-endian machine",
                      "save it again on a little-endian one");
  const std::string name = folder + tensor.storage_key;
  if (!archive.has(name))
    throw_input(where, fmt::format("its storage '{}' is not in the archive",
                                   printable(name)));
  const uint64_t expected = ir::packed_bytes(*known, elements);
  if (archive.size_of(name) < expected)
    throw_input(where, fmt::format("its storage '{}' has {} bytes, expected "
                                   "the {} of {} elements",
                                   printable(name), archive.size_of(name),
                                   expected, elements));
  return archive.read(name);
}

PicklePointer read_archive_pickle(const ZipArchive& archive,
                                  const std::string& name,
                                  const PickleOptions& options) {
  const ir::Bytes bytes = archive.read(name, kMaxPickleBytes);
  return read_pickle(
      {reinterpret_cast<const char*>(bytes.span().data()), bytes.size()},
      fmt::format("{}: {}", archive.where(), name), options);
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 80));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text.size() > 80 ? out + "…" : out;
}

ir::Tensor tensor_from_storage(const ir::Bytes& storage, ir::DataType type,
                               int64_t offset,
                               const std::vector<int64_t>& sizes,
                               const std::vector<int64_t>& strides,
                               const std::string& where) {
  const size_t element_bytes = element_bytes_of(type);
  if (element_bytes == 0)
    throw_input(where, fmt::format("elements of type {} are not those of a "
                                   "storage",
                                   ir::to_string(type)));
  check_layout(type, storage.size() / element_bytes, offset, sizes, strides,
               where);
  const uint64_t count = ir::element_count(sizes, where);
  ir::Bytes content;
  if (count > 0) {
    const auto from =
        storage.span().subspan(static_cast<size_t>(offset) * element_bytes);
    if (is_contiguous(sizes, strides)) {
      content = ir::Bytes(std::make_shared<const ir::Bytes>(storage),
                          from.first(count * element_bytes));
    } else {
      std::vector<std::byte> bytes(count * element_bytes);
      gather(from.data(), element_bytes, sizes, strides, bytes.data());
      content = ir::Bytes::own(std::move(bytes));
    }
  }
  if (type == ir::DataType::kBool) content = clean_bools(std::move(content));
  return ir::Tensor(type, sizes, std::move(content), where);
}

ir::Tensor load_tensor(const ZipArchive& archive, const std::string& folder,
                       const PickledTensor& tensor, const std::string& name) {
  const std::string where =
      fmt::format("{}: tensor '{}'", archive.where(), printable(name));
  ir::DataType type{};
  const ir::Bytes storage =
      checked_storage(archive, folder, tensor, where, &type);
  ir::Tensor loaded = tensor_from_storage(storage, type, tensor.offset,
                                          tensor.sizes, tensor.strides, where);
  loaded.name = name;
  return loaded;
}

std::map<std::string, ir::Tensor> load_tensor_dict(const ZipArchive& archive) {
  const PicklePointer root = read_archive_pickle(archive, "data.pkl");
  const std::string where = archive.where() + ": data.pkl";
  if (root->kind != PickleValue::Kind::kDict)
    throw_input(where, "expected a dict of tensors");
  uint64_t allowed = kMaxExpandedBytes;  // views may repeat what is stored
  for (const std::string& name : archive.names())
    allowed += kMaxRepeats * archive.size_of(name);
  std::map<std::string, ir::Tensor> tensors;
  for (size_t i = 0; i < root->items.size(); i += 2) {
    const PickleValue& key = *root->items[i];
    const PickleValue& value = *root->items[i + 1];
    if (key.kind != PickleValue::Kind::kString)
      throw_input(where, "a key of the dict of tensors is no string");
    if (value.kind != PickleValue::Kind::kTensor)
      throw_input(where, fmt::format("'{}' is no tensor", printable(key.text)));
    ir::Tensor tensor = load_tensor(archive, "data/", value.tensor, key.text);
    if (tensor.size_bytes() > allowed)
      throw_unsupported(where,
                        "the tensors take far more memory than the archive");
    allowed -= tensor.size_bytes();
    tensors.insert_or_assign(key.text, std::move(tensor));
  }
  return tensors;
}

}  // namespace lathe::io
