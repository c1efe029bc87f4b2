#include "calibration/data/npy.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

constexpr uint64_t kMaxHeaderBytes = 1 << 16;
constexpr size_t kMaxRank = 32;  // NumPy's own limit
constexpr uint64_t kMaxLabelBytes = uint64_t{1} << 30;

// The header is a Python dictionary of three known keys: a string (or list),
// a truth value and a tuple of integers.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where)
      : text_(text), where_(where) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        skip_space();
        if (at_ < text_.size() && text_[at_] == '[')
          throw_unsupported(where_, "an array of structured elements");
        descr = quoted();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = truth();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail(fmt::format("unexpected key '{}'", key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("text after its end");
    if (!descr || !fortran_order || !shape)
      fail("one of descr, fortran_order and shape is missing");
  }

  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw_input(where_, "the .npy header is not understood: " + why);
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n'))
      ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("expected '{}' at byte {}", c, at_));
  }
  std::string quoted() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"')
      fail(fmt::format("expected a string at byte {}", at_));
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a string does not end");
    const std::string result(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return result;
  }
  bool truth() {
    skip_space();
    for (const auto& [word, value] :
         {std::pair("True", true), std::pair("False", false)})
      if (text_.substr(at_).starts_with(word)) {
        at_ += std::string_view(word).size();
        return value;
      }
    fail(fmt::format("expected True or False at byte {}", at_));
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> dims;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t dim = 0;
      const char* start = text_.data() + at_;
      const auto [end, error] =
          std::from_chars(start, text_.data() + text_.size(), dim);
      if (error != std::errc() || dim < 0)
        fail(fmt::format("expected a dimension at byte {}", at_));
      at_ += static_cast<size_t>(end - start);
      accept('L');  // Python 2's long integers
      dims.push_back(dim);
      if (dims.size() > kMaxRank)
        fail(fmt::format("more than {} dimensions", kMaxRank));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

ir::DataType element_type(const std::string& descr, const std::string& where) {
  struct Row {
    std::string_view code;
    ir::DataType type;
  };
  constexpr Row kRows[] = {
      {"f2", ir::DataType::kFloat16}, {"f4", ir::DataType::kFloat},
      {"f8", ir::DataType::kDouble},  {"i1", ir::DataType::kInt8},
      {"i2", ir::DataType::kInt16},   {"i4", ir::DataType::kInt32},
      {"i8", ir::DataType::kInt64},   {"u1", ir::DataType::kUint8},
      {"u2", ir::DataType::kUint16},  {"u4", ir::DataType::kUint32},
      {"u8", ir::DataType::kUint64},  {"b1", ir::DataType::kBool}};
  if (descr.size() == 3)
    for (const auto& [code, type] : kRows) {
      if (descr.substr(1) != code) continue;
      const bool one_byte = code.ends_with('1');
      if (descr[0] == '<' || (one_byte && descr[0] == '|')) return type;
      if (descr[0] == '>')
        throw_unsupported(where, "big-endian elements",
                          "save it again with x.astype(x.dtype"
                          ".newbyteorder('<'))");
    }
  throw_unsupported(where, fmt::format("elements of type '{}', expected "
                                       "numbers or booleans",
                                       descr));
}

// 0 for types that convert() does not know.
int integer_bits(ir::DataType type) {
  return ir::is_integer(type) ? ir::bits_per_element(type) : 0;
}

bool is_plain_float(ir::DataType type) {
  return type == ir::DataType::kFloat || type == ir::DataType::kDouble ||
         type == ir::DataType::kFloat16 || type == ir::DataType::kBfloat16;
}

bool is_unsigned(ir::DataType type) {
  return type == ir::DataType::kUint8 || type == ir::DataType::kUint16 ||
         type == ir::DataType::kUint32 || type == ir::DataType::kUint64;
}

// Whole numbers as 128 bits: any integer type fits.
__int128 integer_at(const std::string& bytes, size_t i, ir::DataType type) {
  const size_t width = static_cast<size_t>(ir::bits_per_element(type)) / 8;
  uint64_t raw = 0;
  for (size_t k = 0; k < width; ++k)
    raw |= uint64_t{static_cast<uint8_t>(bytes[i * width + k])} << (8 * k);
  if (is_unsigned(type)) return raw;
  const int shift = static_cast<int>(64 - 8 * width);
  return static_cast<int64_t>(raw << shift) >> shift;
}

ir::Tensor convert_integers(const std::string& bytes, ir::DataType from,
                            std::vector<int64_t> dims, ir::DataType to,
                            const std::string& where) {
  const size_t count =
      bytes.size() / (static_cast<size_t>(ir::bits_per_element(from)) / 8);
  const int bits = ir::bits_per_element(to);
  const __int128 one = 1;
  const __int128 low = is_unsigned(to) ? 0 : -(one << (bits - 1));
  const __int128 high =
      is_unsigned(to) ? (one << bits) - 1 : (one << (bits - 1)) - 1;
  const size_t width = static_cast<size_t>(bits) / 8;
  std::vector<std::byte> out(count * width);
  for (size_t i = 0; i < count; ++i) {
    const __int128 value = integer_at(bytes, i, from);
    if (value < low || value > high)
      throw_input(where, fmt::format("the integer {} does not fit {}", value,
                                     ir::to_string(to)));
    for (size_t k = 0; k < width; ++k)
      out[i * width + k] =
          static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * k));
  }
  return ir::Tensor(to, std::move(dims), ir::Bytes::own(std::move(out)), where);
}

}  // namespace

uint64_t NpyArray::bytes() const {
  return ir::packed_bytes(type, ir::element_count(dims, blob.name()));
}

NpyArray read_npy(const Blob& blob) {
  const std::string& where = blob.name();
  if (blob.size() < 12 || blob.read(0, 6) != "\x93NUMPY")
    throw_input(where, "not a .npy file");
  const std::string head = blob.read(0, 12);
  const int version = static_cast<uint8_t>(head[6]);
  if (version < 1 || version > 3)
    throw_unsupported(where,
                      fmt::format(".npy version {}, expected 1 to 3", version));
  const size_t length_bytes = version == 1 ? 2 : 4;
  uint64_t length = 0;
  for (size_t k = 0; k < length_bytes; ++k)
    length |= uint64_t{static_cast<uint8_t>(head[8 + k])} << (8 * k);
  if (length > kMaxHeaderBytes)
    throw_input(where, fmt::format("the .npy header has {} bytes, expected at "
                                   "most {}",
                                   length, kMaxHeaderBytes));
  const std::string text = blob.read(8 + length_bytes, length);
  HeaderParser header(text, where);
  header.parse();
  NpyArray array{element_type(*header.descr, where), *header.shape, blob,
                 8 + length_bytes + length};
  size_t long_dims = 0;
  for (const int64_t dim : array.dims) long_dims += dim != 1;
  if (*header.fortran_order && long_dims > 1)
    throw_unsupported(where, "an array in column-major (Fortran) order",
                      "save it again with numpy.ascontiguousarray(x)");
  if (blob.size() - array.offset != array.bytes())
    throw_input(where,
                fmt::format("holds {} bytes of elements, expected {} "
                            "for shape {}",
                            blob.size() - array.offset, array.bytes(),
                            array.dims.empty()
                                ? "scalar"
                                : fmt::to_string(fmt::join(array.dims, "x"))));
  return array;
}

bool convertible(ir::DataType from, ir::DataType to) {
  if (from == to) return true;
  if (is_plain_float(from)) return is_plain_float(to);
  const int bits = integer_bits(from);
  if (bits < 8) return false;
  if (integer_bits(to) >= 8) return true;
  if (to == ir::DataType::kFloat) return bits <= 16;
  if (to == ir::DataType::kDouble) return bits <= 32;
  return to == ir::DataType::kFloat16 && bits == 8;
}

ir::Tensor convert(std::string bytes, ir::DataType from,
                   std::vector<int64_t> dims, ir::DataType to,
                   const std::string& where) {
  if (from != to && integer_bits(from) >= 8 && integer_bits(to) >= 8)
    return convert_integers(bytes, from, std::move(dims), to, where);
  ir::Tensor tensor(from, dims, ir::Bytes::own(std::move(bytes)), where);
  if (from == to) return tensor;
  return ir::Tensor::from_doubles(to, std::move(dims), tensor.to_doubles());
}

std::vector<int64_t> read_labels(const NpyArray& array) {
  const std::string& where = array.blob.name();
  const bool one_each =
      array.dims.size() == 1 || (array.dims.size() == 2 && array.dims[1] == 1);
  if (!one_each || integer_bits(array.type) < 8)
    throw_input(where, fmt::format("labels are {}[{}], expected one integer a "
                                   "sample",
                                   ir::to_string(array.type),
                                   fmt::join(array.dims, ",")));
  if (array.bytes() > kMaxLabelBytes)
    throw_input(where, fmt::format("has {} of labels, expected at most {}",
                                   format_bytes(array.bytes()),
                                   format_bytes(kMaxLabelBytes)));
  const ir::Tensor tensor =
      convert(array.blob.read(array.offset, array.bytes()), array.type,
              {array.dims[0]}, ir::DataType::kInt64, where);
  const auto values = tensor.data<int64_t>();
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] < 0)
      throw_input(where, fmt::format("label {} of sample {} is negative",
                                     values[i], i));
  return {values.begin(), values.end()};
}

}  // namespace lathe::data
