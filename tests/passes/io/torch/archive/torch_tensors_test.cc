#include <cmath>
#include <numeric>

#include "passes/io/torch/archive/storage_type.h"
#include "passes/io/torch/archive/torch_file.h"
#include "tests/passes/io/torch/archive/pickle_writer.h"
#include "tests/passes/io/torch/doctest_with_torch.h"
#include "tests/support/shared.h"

namespace lathe::io {
namespace {

using ir::DataType;
using test::make_zip;
using test::message_from;
using test::py_dict;
using test::py_pickle;
using test::py_tensor;
using test::PyTensor;

ir::Bytes floats(int count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.f);
  return ir::Bytes::copy_of(std::as_bytes(std::span(values)));
}

std::vector<float> view(int64_t offset, const std::vector<int64_t>& sizes,
                        const std::vector<int64_t>& strides) {
  return tensor_from_storage(floats(12), DataType::kFloat, offset, sizes,
                             strides, "t")
      .to_floats();
}

std::string view_error(int64_t offset, const std::vector<int64_t>& sizes,
                       const std::vector<int64_t>& strides) {
  return message_from([&] { view(offset, sizes, strides); });
}

// An archive whose data.pkl is a dict with one tensor "w" in 24 bytes.
ZipArchive archive_of(const PyTensor& tensor,
                      const test::ZipEntries& more = {}) {
  test::ZipEntries entries{
      {"archive/data.pkl", py_pickle(py_dict({{"w", py_tensor(tensor)}}))},
      {"archive/data/0", std::string(24, '\1')}};
  entries.insert(entries.end(), more.begin(), more.end());
  return ZipArchive::from_bytes(ir::Bytes::own(make_zip(entries)), "a.pt");
}

std::string load_error(const PyTensor& tensor,
                       const test::ZipEntries& more = {}) {
  return message_from([&] { load_tensor_dict(archive_of(tensor, more)); });
}

TEST_CASE("torch tensor: views of a storage") {
  using F = std::vector<float>;
  CHECK(view(0, {2, 3}, {3, 1}) == F{0, 1, 2, 3, 4, 5});
  CHECK(view(4, {2, 2}, {2, 1}) == F{4, 5, 6, 7});
  CHECK(view(0, {3, 2}, {1, 3}) == F{0, 3, 1, 4, 2, 5});
  CHECK(view(1, {2, 3}, {6, 2}) == F{1, 3, 5, 7, 9, 11});
  CHECK(view(2, {2, 3}, {0, 0}) == F{2, 2, 2, 2, 2, 2});
  CHECK(view(0, {4, 3}, {1, 2}) == F{0, 2, 4, 1, 3, 5, 2, 4, 6, 3, 5, 7});
  CHECK(view(11, {}, {}) == F{11});
  CHECK(view(0, {2, 1, 2}, {2, 999, 1}) == F{0, 1, 2, 3});
  CHECK(view(3, {2, 1, 2}, {1, INT64_MAX, 2}) == F{3, 5, 4, 6});
  CHECK(view(0, {3, 0}, {1, 1}).empty());
  CHECK(view(12, {0}, {1}).empty());
}

TEST_CASE("torch tensor: contiguous views share the storage") {
  const ir::Bytes storage = floats(12);
  const auto at = [&](const ir::Tensor& tensor) {
    return tensor.bytes().data() - storage.span().data();
  };
  const auto load = [&](const std::vector<int64_t>& strides) {
    return tensor_from_storage(storage, DataType::kFloat, 6, {2, 3}, strides,
                               "t");
  };
  CHECK(at(load({3, 1})) == 24);
  CHECK(load({1, 2}).bytes().data() != storage.span().data() + 24);
}

TEST_CASE("torch tensor: views that reach outside") {
  const auto outside = [](const char* sizes, const char* strides, int offset) {
    return std::string("t: sizes ") + sizes + " and strides " + strides +
           " from element " + std::to_string(offset) +
           " reach outside its storage of 12 elements";
  };
  CHECK(view_error(0, {3, 5}, {5, 1}) == outside("[3,5]", "[5,1]", 0));
  CHECK(view_error(12, {}, {}) == outside("[]", "[]", 12));
  CHECK(view_error(1, {2}, {INT64_MAX}) ==
        outside("[2]", "[9223372036854775807]", 1));
  CHECK(view_error(0, {3, 2}, {int64_t{1} << 62, 1}) ==
        outside("[3,2]", "[4611686018427387904,1]", 0));
  CHECK(view_error(-1, {2}, {1}) == "t: starts at element -1 of its storage");
  CHECK(view_error(0, {-2}, {1}) == "t: negative dimension in shape [-2]");
  CHECK(view_error(5, {2}, {-1}) == "t: has the negative stride -1");
  CHECK(view_error(0, {2}, {}) == "t: has 1 sizes and 0 strides");
  CHECK(view_error(0, {int64_t{1} << 40, int64_t{1} << 40}, {0, 0}) ==
        "t: shape [1099511627776,1099511627776] has too many elements");
  CHECK(view_error(0, {int64_t{1} << 40}, {0}) ==
        "t: sizes [1099511627776] expand a storage of 12 elements to 4.0 TiB, "
        "expected at most 1.0 GiB");
  CHECK(message_from([] {
          tensor_from_storage(floats(1), DataType::kString, 0, {1}, {1}, "t");
        }) == "t: elements of type string are not those of a storage");
}

TEST_CASE("torch tensor: storage types") {
  const std::vector<std::pair<const char*, DataType>> types{
      {"Double", DataType::kDouble},
      {"Float", DataType::kFloat},
      {"Half", DataType::kFloat16},
      {"BFloat16", DataType::kBfloat16},
      {"Long", DataType::kInt64},
      {"Int", DataType::kInt32},
      {"Short", DataType::kInt16},
      {"Char", DataType::kInt8},
      {"Byte", DataType::kUint8},
      {"Bool", DataType::kBool},
      {"Untyped", DataType::kUint8},
      {"ComplexFloat", DataType::kComplex64},
      {"ComplexDouble", DataType::kComplex128}};
  for (const auto& [name, type] : types) {
    CAPTURE(name);
    const int64_t elements = 24 * 8 / ir::bits_per_element(type);
    const auto tensors = load_tensor_dict(
        archive_of({.elements = elements,
                    .sizes = {elements},
                    .strides = {1},
                    .storage = std::string("torch\n") + name + "Storage"}));
    CHECK(tensors.at("w").type() == type);
    CHECK(tensors.at("w").dims() == std::vector<int64_t>{elements});
    CHECK(tensors.at("w").name == "w");
  }
  CHECK(data_type_of_storage("torch.float8_e5m2") == DataType::kFloat8E5M2);
  CHECK(data_type_of_storage("QInt8Storage") == std::nullopt);
  CHECK(load_error({.storage = "torch\nQInt8Storage"}) ==
        "a.pt: tensor 'w': its storage is of the unknown type 'QInt8Storage'");
}

TEST_CASE("torch tensor: bools are 0 or 1") {
  const ir::Tensor tensor =
      tensor_from_storage(ir::Bytes::own(std::string("\0\1\7\xff", 4)),
                          DataType::kBool, 0, {4}, {1}, "t");
  CHECK(tensor.to_int64s() == std::vector<int64_t>{0, 1, 1, 1});
}

TEST_CASE("torch tensor: storages that do not fit") {
  CHECK(load_error({.key = "1"}) ==
        "a.pt: tensor 'w': its storage 'data/1' is not in the archive");
  CHECK(load_error({.key = "../data/0"}) ==
        "a.pt: tensor 'w': its storage 'data/../data/0' is not in the archive");
  CHECK(load_error({.elements = 7}) ==
        "a.pt: tensor 'w': its storage 'data/0' has 24 bytes, expected the 28 "
        "of 7 elements");
  CHECK(load_error({.elements = INT64_MAX}) ==
        "a.pt: tensor 'w': its storage 'data/0' has 24 bytes, expected the "
        "18446744073709551615 of 9223372036854775807 elements");
  CHECK(load_error({.elements = -1}) ==
        "a.pt: tensor 'w': its storage has -1 elements");
  CHECK(load_error({.elements = 5}) ==
        "a.pt: tensor 'w': sizes [2,3] and strides [3,1] from element 0 reach "
        "outside its storage of 5 elements");
  CHECK(load_error({.sizes = {2, -3}}) ==
        "a.pt: tensor 'w': negative dimension in shape [2,-3]");
  CHECK(load_error({}, {{"archive/byteorder", "big"}}) ==
        "a.pt: tensor 'w': was saved on a big-endian machine (save it again on "
        "a little-endian one)");
  CHECK(load_tensor_dict(archive_of({}, {{"archive/byteorder", "little"}}))
            .size() == 1);
  // Without elements, torch.jit.save leaves the storage out.
  CHECK(
      load_tensor_dict(
          archive_of({.key = "9", .elements = 0, .sizes = {0}, .strides = {1}}))
          .at("w")
          .size() == 0);
}

TEST_CASE("torch tensor: what is no dict of tensors") {
  const auto error = [](const std::string& value) {
    return message_from([&] {
      load_tensor_dict(ZipArchive::from_bytes(
          ir::Bytes::own(make_zip({{"archive/data.pkl", py_pickle(value)},
                                   {"archive/data/0", std::string(24, '\1')}})),
          "a.pt"));
    });
  };
  CHECK(error(py_tensor()) == "a.pt: data.pkl: expected a dict of tensors");
  CHECK(error(py_dict({{"a", "N"}})) == "a.pt: data.pkl: 'a' is no tensor");
  CHECK(error("}K\1" + py_tensor() + "s") ==
        "a.pt: data.pkl: a key of the dict of tensors is no string");
  std::string many = "}(";
  const std::string half_gibibyte =
      py_tensor({.sizes = {1 << 27}, .strides = {0}});
  for (const char* name : {"a", "b", "c"})
    many += test::py_text(name) + half_gibibyte;
  CHECK(error(many + "u") ==
        "a.pt: data.pkl: the tensors take far more memory than the archive");
}

TEST_CASE("torch tensor: a real state_dict inside an exported program") {
  const auto path = test::shared_file("models/cifar10_resnet20/model.pt2");
  if (path.empty()) return;
  const ZipArchive program = ZipArchive::open(path);
  const auto tensors = load_tensor_dict(ZipArchive::from_bytes(
      program.read("serialized_state_dict.pt"), "serialized_state_dict.pt"));
  CHECK(tensors.size() == 116);
  const ir::Tensor& weight = tensors.at("conv1.weight");
  CHECK(weight.type() == DataType::kFloat);
  CHECK(weight.dims() == std::vector<int64_t>{16, 3, 3, 3});
  double sum = 0;
  for (float value : weight.to_floats()) sum += std::abs(value);
  CHECK(sum / 432 > 0.01);
  CHECK(sum / 432 < 1.0);
}

}  // namespace
}  // namespace lathe::io
