#include "calibration/data/npy.h"
#include "passes/base/random.h"
#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

using data::Blob;

std::string npy_text(const std::string& header, const std::string& elements,
                     int version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  const size_t size = header.size();
  for (int k = 0; k < (version == 1 ? 2 : 4); ++k)
    bytes += static_cast<char>(size >> (8 * k) & 255);
  return bytes + header + elements;
}

template <class T>
std::string npy(const std::string& descr, const std::string& shape,
                const std::vector<T>& elements, int version = 1) {
  return npy_text("{'descr': '" + descr +
                      "', 'fortran_order': False, 'shape': " + shape +
                      ", }  \n",
                  std::string(reinterpret_cast<const char*>(elements.data()),
                              elements.size() * sizeof(T)),
                  version);
}

TEST_CASE("npy: header versions and element types") {
  for (const int version : {1, 2, 3}) {
    const auto array = data::read_npy(Blob::memory(
        npy<int64_t>("<i8", "(2, 3)", {1, 2, 3, 4, 5, 6}, version), "a.npy"));
    CHECK(array.type == ir::DataType::kInt64);
    CHECK(array.dims == std::vector<int64_t>{2, 3});
    CHECK(array.bytes() == 48);
  }
  const std::pair<const char*, ir::DataType> types[] = {
      {"<f2", ir::DataType::kFloat16}, {"<f4", ir::DataType::kFloat},
      {"<f8", ir::DataType::kDouble},  {"|i1", ir::DataType::kInt8},
      {"<i2", ir::DataType::kInt16},   {"<i4", ir::DataType::kInt32},
      {"|u1", ir::DataType::kUint8},   {"<u2", ir::DataType::kUint16},
      {"<u4", ir::DataType::kUint32},  {"<u8", ir::DataType::kUint64},
      {"|b1", ir::DataType::kBool}};
  for (const auto& [descr, type] : types) {
    const size_t width = static_cast<size_t>(ir::bits_per_element(type)) / 8;
    CHECK(data::read_npy(
              Blob::memory(npy(descr, "(3,)", std::vector<char>(3 * width)),
                           "a.npy"))
              .type == type);
  }
  CHECK(data::read_npy(
            Blob::memory(npy("<f4", "()", std::vector<float>{1}), "a.npy"))
            .dims.empty());
}

TEST_CASE("npy: what is not understood is refused") {
  const auto fail = [](const std::string& bytes) {
    return error_of([&] { data::read_npy(Blob::memory(bytes, "a.npy")); });
  };
  const std::vector<float> two = {1, 2};
  CHECK(fail("text") == "input|a.npy: not a .npy file");
  CHECK(fail(npy("<f4", "(2,)", two, 9)) ==
        "unsupported|a.npy: .npy version 9, expected 1 to 3");
  CHECK(fail(npy(">f4", "(2,)", two)) ==
        "unsupported|a.npy: big-endian elements (save it again with "
        "x.astype(x.dtype.newbyteorder('<')))");
  CHECK(fail(npy("|O", "(2,)", two)) ==
        "unsupported|a.npy: elements of type '|O', expected numbers or "
        "booleans");
  CHECK(fail(npy("<f4", "(3,)", two)) ==
        "input|a.npy: holds 8 bytes of elements, expected 12 for shape 3");
  CHECK(fail(npy("<f4", "(-2,)", two))
            .starts_with("input|a.npy: the .npy header is not understood: "
                         "expected a dimension"));
  CHECK(fail(npy("<f4", "(4000000000, 4000000000, 4000000000)", two))
            .starts_with("input|a.npy: "));
  CHECK(fail(npy_text("{'descr': [('a', '<f4')], 'fortran_order': False, "
                      "'shape': (2,)}",
                      "")) ==
        "unsupported|a.npy: an array of structured elements");
  CHECK(fail(npy_text("{'descr': '<f4', 'fortran_order': True, 'shape': "
                      "(2, 1, 2)}",
                      std::string(16, 'x'))) ==
        "unsupported|a.npy: an array in column-major (Fortran) order (save it "
        "again with numpy.ascontiguousarray(x))");
  CHECK(fail(npy_text("{'descr': '<f4', 'shape': (2,)}", "")) ==
        "input|a.npy: the .npy header is not understood: one of descr, "
        "fortran_order and shape is missing");
  CHECK(fail(npy_text("{'descr': '<f4', 'evil': __import__('os')}", "")) ==
        "input|a.npy: the .npy header is not understood: unexpected key "
        "'evil'");
  std::string long_header = npy("<f4", "(2,)", two, 2);
  long_header[11] = '\x7f';
  CHECK(fail(long_header).starts_with("input|a.npy: the .npy header has 21"));
}

TEST_CASE("npy: no changed byte of a header crashes") {
  const std::string good = npy<float>("<f4", "(2, 3)", {1, 2, 3, 4, 5, 6});
  Random random(4);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (int k = 0; k < 2; ++k)
      bytes[random.below(70)] = static_cast<char>(random.below(256));
    const std::string result =
        error_of([&] { data::read_npy(Blob::memory(bytes, "a.npy")); });
    CHECK_FALSE(result.starts_with("internal"));
  }
}

TEST_CASE("npy: conversions that lose nothing much, and no others") {
  const auto bytes_of = [](const auto& values) {
    return std::string(reinterpret_cast<const char*>(values.data()),
                       values.size() * sizeof values[0]);
  };
  const std::vector<double> doubles = {1.5, -2};
  CHECK(values<float>(data::convert(bytes_of(doubles), ir::DataType::kDouble,
                                    {2}, ir::DataType::kFloat, "")) ==
        std::vector<float>{1.5, -2});
  const std::vector<uint8_t> bytes = {0, 255};
  CHECK(values<float>(data::convert(bytes_of(bytes), ir::DataType::kUint8, {2},
                                    ir::DataType::kFloat, "")) ==
        std::vector<float>{0, 255});
  const std::vector<int64_t> large = {-5, 2147483647};
  CHECK(values<int32_t>(data::convert(bytes_of(large), ir::DataType::kInt64,
                                      {2}, ir::DataType::kInt32, "")) ==
        std::vector<int32_t>{-5, 2147483647});
  const std::vector<int64_t> too_large = {2147483648};
  CHECK(error_of([&] {
          data::convert(bytes_of(too_large), ir::DataType::kInt64, {1},
                        ir::DataType::kInt32, "a.npy: sample 3");
        }) ==
        "input|a.npy: sample 3: the integer 2147483648 does not fit int32");
  const std::vector<uint64_t> most = {~uint64_t{0}};
  CHECK(error_of([&] {
          data::convert(bytes_of(most), ir::DataType::kUint64, {1},
                        ir::DataType::kInt64, "a");
        }) == "input|a: the integer 18446744073709551615 does not fit int64");
  CHECK_FALSE(data::convertible(ir::DataType::kFloat, ir::DataType::kInt64));
  CHECK_FALSE(data::convertible(ir::DataType::kInt64, ir::DataType::kFloat));
  CHECK_FALSE(data::convertible(ir::DataType::kInt32, ir::DataType::kFloat));
  CHECK(data::convertible(ir::DataType::kInt16, ir::DataType::kFloat));
  CHECK_FALSE(data::convertible(ir::DataType::kBool, ir::DataType::kFloat));
  CHECK(data::convertible(ir::DataType::kBool, ir::DataType::kBool));
}

TEST_CASE("npy: a path for a model of one input, or a descriptor with labels") {
  TempDir dir;
  write(dir.path() / "x.npy", npy<double>("<f8", "(3, 2)", {1, 2, 3, 4, 5, 6}));
  write(dir.path() / "y.npy", npy<int32_t>("<i4", "(3,)", {7, 8, 9}));
  const ir::Model model = image_model({-1, 2});
  const auto direct =
      data::open_data((dir.path() / "x.npy").string(), model, {});
  CHECK(direct->size() == 3);
  CHECK_FALSE(direct->has_labels());
  ReadOptions options;
  options.batch_size = 2;
  const auto batches = read_all(*direct, options);
  CHECK(values<float>(*batches[0].find("x")) == std::vector<float>{1, 2, 3, 4});
  const auto labelled = open_text(
      dir.path(),
      R"({"format": "npy", "path": "x.npy", "labels": "y.npy", "input": "x"})",
      model);
  CHECK(labels_of(read_all(*labelled)) == std::vector<int64_t>{7, 8, 9});
  write(dir.path() / "y.npy", npy<int32_t>("<i4", "(2,)", {7, 8}));
  const auto fail = [&](const ir::Model& wanted) {
    return error_of([&] {
      open_text(dir.path(),
                R"({"format": "npy", "path": "x.npy", "labels": "y.npy",
                    "input": "x"})",
                wanted);
    });
  };
  const std::string root = dir.path().string();
  CHECK(fail(model) == "input|" + root + "/y.npy: has 2 labels for 3 samples");
  write(dir.path() / "y.npy", npy<int32_t>("<i4", "(3,)", {7, -1, 8}));
  CHECK(fail(model) ==
        "input|" + root + "/y.npy: label -1 of sample 1 is negative");
  write(dir.path() / "y.npy", npy<float>("<f4", "(3,)", {7, 1, 8}));
  CHECK(fail(model) ==
        "input|" + root +
            "/y.npy: labels are float[3], expected one integer a sample");
  write(dir.path() / "y.npy", npy<int32_t>("<i4", "(3,)", {7, 1, 8}));
  CHECK(fail(image_model({-1, 5})) ==
        "input|" + root +
            "/x.npy: 2 does not fit input 'x' of shape float[N,5] (the array "
            "is double[3,2], its first dimension counts the samples)");
  CHECK(fail(image_model({-1, 2}, ir::DataType::kInt64)) ==
        "input|" + root +
            "/x.npy: double[3,2] cannot be given to input 'x' of type int64");
  CHECK(fail(model_with({{"pixels", ir::DataType::kFloat, {-1, 2}}})) ==
        "input|" + root +
            "/data.json:2:30: /input: the model has no input "
            "'x'");
}

TEST_CASE("npz: any number of inputs, stored or deflated, and labels") {
  TempDir dir;
  const Members members = {
      {"ids.npy", npy<int32_t>("<i4", "(2, 3)", {1, 2, 3, 4, 5, 6})},
      {"mask.npy", npy<float>("<f4", "(2, 1)", {0.5, 0.25})},
      {"labels.npy", npy<int64_t>("<i8", "(2,)", {1, 0})}};
  write_archive(dir.path() / "a.npz", Pack::kZip, members);
  write_archive(dir.path() / "stored", Pack::kZipStored, members);
  const ir::Model model = model_with({{"ids", ir::DataType::kInt64, {-1, -1}},
                                      {"mask", ir::DataType::kFloat, {-1, 1}}});
  write(dir.path() / "d.json", R"({"format": "npz", "path": "a.npz"})");
  for (const char* name : {"a.npz", "stored", "d.json"}) {
    CAPTURE(name);
    const auto source =
        data::open_data((dir.path() / name).string(), model, {});
    CHECK(source->size() == 2);
    const auto batches = read_all(*source);
    REQUIRE(batches.size() == 2);
    CHECK(batches[1].labels == std::vector<int64_t>{0});
    CHECK(batches[1].find("ids")->dims() == std::vector<int64_t>{1, 3});
    CHECK(values<int64_t>(*batches[1].find("ids")) ==
          std::vector<int64_t>{4, 5, 6});
    CHECK(values<float>(*batches[1].find("mask")) == std::vector<float>{0.25});
  }
}

TEST_CASE("npz: an input without a batch dimension is the same for all") {
  TempDir dir;
  write_archive(dir.path() / "a.npz", Pack::kZip,
                {{"input.npy", npy<float>("<f4", "(2, 2)", {1, 2, 3, 4})},
                 {"state.npy", npy<float>("<f4", "(3, 1)", {7, 8, 9})},
                 {"sr.npy", npy<int64_t>("<i8", "()", {16000})}});
  const auto source =
      data::open_data((dir.path() / "a.npz").string(),
                      model_with({{"input", ir::DataType::kFloat, {-1, -1}},
                                  {"state", ir::DataType::kFloat, {3, -1}},
                                  {"sr", ir::DataType::kInt64, {}}}),
                      {});
  CHECK(source->size() == 2);
  ReadOptions options;
  options.batch_size = 8;  // such samples come one by one
  const auto batches = read_all(*source, options);
  REQUIRE(batches.size() == 2);
  CHECK(values<float>(*batches[1].find("input")) == std::vector<float>{3, 4});
  CHECK(batches[1].find("input")->dims() == std::vector<int64_t>{1, 2});
  CHECK(batches[1].find("state")->dims() == std::vector<int64_t>{3, 1});
  CHECK(batches[1].find("sr")->dims().empty());
  CHECK(values<int64_t>(*batches[1].find("sr")) == std::vector<int64_t>{16000});
}

TEST_CASE("npz: arrays and inputs that do not match are all named") {
  TempDir dir;
  const std::string path = (dir.path() / "a.npz").string();
  write_archive(path, Pack::kZip,
                {{"imput.npy", npy<float>("<f4", "(1, 2)", {1, 2})},
                 {"readme.txt", "text"}});
  CHECK(error_of([&] {
          data::open_data(path,
                          model_with({{"input", ir::DataType::kFloat, {-1, 2}},
                                      {"mask", ir::DataType::kFloat, {-1}}}),
                          {});
        }) == "input|" + path +
                  ": no array for input 'input', no array for input 'mask', "
                  "array 'imput' is no input of the model; did you mean "
                  "'input'? (name the arrays input, mask and, where there are "
                  "any, labels)");
  write_archive(path, Pack::kZip,
                {{"a.npy", npy<float>("<f4", "(2, 2)", {1, 2, 3, 4})},
                 {"b.npy", npy<float>("<f4", "(3, 1)", {1, 2, 3})}});
  CHECK(error_of([&] {
          data::open_data(path,
                          model_with({{"a", ir::DataType::kFloat, {-1, 2}},
                                      {"b", ir::DataType::kFloat, {1, 1}}}),
                          {});
        }) == "input|" + path +
                  ": b.npy: float[3,1] for input 'b' of shape float[1,1], "
                  "expected 2 samples as in the other arrays");
  const std::string bytes = slurp(path);
  write(path, bytes.substr(0, bytes.size() / 2));
  CHECK(error_of([&] {
          data::open_data(path, image_model({-1, 2}), {});
        }).starts_with("input|" + path + ": "));
}

}  // namespace
}  // namespace lathe::test
