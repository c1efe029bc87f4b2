#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

using Strings = std::vector<std::string>;

std::string fail(const std::string& spec, const ir::Model& model,
                 const data::OpenOptions& options = {}) {
  return error_of([&] { data::open_data(spec, model, options); });
}

TEST_CASE("synthetic: the model's shape, seeded, and said to be so") {
  const ir::Model model = model_with({{"x", ir::DataType::kFloat, {-1, 2, -1}},
                                      {"ids", ir::DataType::kInt64, {-1, 4}},
                                      {"on", ir::DataType::kBool, {-1}}});
  data::OpenOptions options;
  options.seed = 3;
  options.input_shapes = {{"x", {1, 2, 5}}};
  const auto source = data::open_data("synthetic", model, options);
  CHECK(source->size() == 32);
  CHECK(source->is_synthetic());
  CHECK_FALSE(source->has_labels());
  CHECK(source->description() == "synthetic random input");
  ReadOptions reading;
  reading.batch_size = 32;
  const auto batches = read_all(*source, reading);
  REQUIRE(batches.size() == 1);
  CHECK(batches[0].find("x")->dims() == std::vector<int64_t>{32, 2, 5});
  CHECK(batches[0].find("on")->dims() == std::vector<int64_t>{32});
  bool zero = false, one = false;
  for (const int64_t id : values<int64_t>(*batches[0].find("ids"))) {
    CHECK((id == 0 || id == 1));
    zero |= id == 0;
    one |= id == 1;
  }
  CHECK((zero && one));
  double sum = 0, squares = 0;
  for (const float v : values<float>(*batches[0].find("x"))) {
    sum += v;
    squares += v * v;
  }
  CHECK(std::abs(sum / 320) < 0.2);
  CHECK(std::abs(squares / 320 - 1) < 0.3);

  const auto same =
      read_all(*data::open_data("synthetic", model, options), reading);
  CHECK(same[0].find("x")->identical(*batches[0].find("x")));
  options.seed = 4;
  const auto other =
      read_all(*data::open_data("synthetic", model, options), reading);
  CHECK_FALSE(other[0].find("x")->identical(*batches[0].find("x")));
}

TEST_CASE("synthetic: --samples and the descriptor say how many") {
  TempDir dir;
  const ir::Model model = image_model({-1, 2});
  data::OpenOptions options;
  options.limit = 5;
  CHECK(data::open_data("synthetic", model, options)->size() == 5);
  CHECK(open_text(dir.path(), R"({"format": "synthetic", "count": 7})", model)
            ->size() == 7);
  CHECK(open_text(dir.path(), R"({"format": "synthetic", "count": 7})", model,
                  options)
            ->size() == 5);
  CHECK(open_text(dir.path(), R"({"format": "synthetic", "limit": 3})", model)
            ->size() == 3);
}

TEST_CASE("synthetic: inputs without a common batch come one by one") {
  const ir::Model model = model_with({{"input", ir::DataType::kFloat, {-1, 8}},
                                      {"state", ir::DataType::kFloat, {2, -1}},
                                      {"sr", ir::DataType::kInt64, {}}});
  ReadOptions reading;
  reading.batch_size = 4;
  const auto batches =
      read_all(*data::open_data("synthetic", model, {}), reading);
  REQUIRE(batches.size() == 32);
  CHECK(batches[0].samples == 1);
  CHECK(batches[0].find("input")->dims() == std::vector<int64_t>{1, 8});
  CHECK(batches[0].find("state")->dims() == std::vector<int64_t>{2, 1});
  CHECK(batches[0].find("sr")->dims().empty());
}

TEST_CASE("synthetic: models that cannot be fed") {
  ir::Model unknown;
  ir::ValueType type;
  type.elem = ir::DataType::kFloat;
  unknown.graph->add_input("x", type);
  CHECK(fail("synthetic", unknown) ==
        "usage|synthetic: the shape of input 'x' is not known (give one: "
        "--input-shape x:1x3x224x224)");
  CHECK(fail("synthetic", model_with({{"x", ir::DataType::kString, {1}}})) ==
        "unsupported|input 'x': data cannot be given for a tensor of strings");
  CHECK(fail("synthetic",
             model_with({{"x", ir::DataType::kFloat, {1, 100000, 100000}}})) ==
        "input|synthetic: input 'x' of shape 100000x100000 is too large to be "
        "filled with random values");
  data::OpenOptions options;
  options.input_shapes = {{"imput", {1}}};
  CHECK(fail("synthetic", model_with({{"input", ir::DataType::kFloat, {-1}}}),
             options) ==
        "usage|--input-shape: the model has no input 'imput'; did you mean "
        "'input'?");
  options.input_shapes = {{"", {1, 3}}};
  CHECK(fail("synthetic", image_model({-1, 2}), options) ==
        "usage|--input-shape: 1x3 does not fit input 'x' of shape float[N,2]");
}

TEST_CASE("procedural: labelled images, rendered") {
  TempDir dir;
  const auto source =
      open_text(dir.path(), R"({"format": "procedural", "count": 20,
                                "seed": 1})",
                image_model({-1, 3, 32, 32}));
  CHECK(source->size() == 20);
  CHECK(source->has_labels());
  CHECK_FALSE(source->is_synthetic());
  const auto batches = read_all(*source);
  CHECK(batches[13].labels == std::vector<int64_t>{3});
  CHECK(batches[0].find("x")->dims() == std::vector<int64_t>{1, 3, 32, 32});
}

TEST_CASE("data: every mistake in a descriptor at once") {
  TempDir dir;
  const std::string file = (dir.path() / "data.json").string();
  CHECK(error_of([&] {
          open_text(dir.path(),
                    "{\n"
                    "  \"format\": \"cifar-binary\",\n"
                    "  \"imge\": {},\n"
                    "  \"image\": {\"crop\": [224], \"std\": [0, 1, 1],\n"
                    "    \"chanels\": \"rgb\"},\n"
                    "  \"audio\": {\"length\": \"long\"},\n"
                    "  \"limit\": 0\n"
                    "}\n",
                    image_model({-1, 3, 2, 2}));
        }) ==
        "input|" + file +
            ":3:11: /imge: unknown key 'imge'; did you mean 'image'?\n" + file +
            ":4:21: /image/crop: expected 2 items, found 1\n" + file +
            ":4:36: /image/std/0: 0 is out of range, expected more than 0\n" +
            file +
            ":5:16: /image/chanels: unknown key 'chanels'; did you mean "
            "'channels'?\n" +
            file +
            ":6:23: /audio/length: expected integer, found string \"long\"\n" +
            file + ":7:12: /limit: 0 is out of range, expected at least 1\n" +
            file +
            ":1:1: key 'path' is missing: a CIFAR binary file (.bin, .bin.gz), "
            "a folder or tar archive of them\n" +
            file +
            ":6:12: /audio: format 'cifar-binary' does not use key 'audio'");
}

TEST_CASE("data: formats and their keys") {
  const auto errors = [](const std::string& text) {
    std::string lines;
    for (const std::string& line :
         data::validate_descriptor(JsonText::parse(text, "d.json"), ""))
      lines += (lines.empty() ? "" : "\n") + line;
    return lines;
  };
  CHECK(errors(R"({"format": "image-foldr", "path": "x"})") ==
        "d.json:1:12: /format: \"image-foldr\" is not one of \"image-folder\", "
        "\"image-list\", \"cifar-binary\", \"idx\", \"npy\", \"npz\", \"wav\", "
        "\"onnx-testcase\", \"procedural\", \"synthetic\"; did you mean "
        "'image-folder'?");
  CHECK(errors(R"({"path": "x"})") == "d.json:1:1: key 'format' is missing");
  CHECK(errors(R"({"format": "image-list", "path": "x"})") ==
        "d.json:1:1: format 'image-list' needs a csv file of labels: "
        "\"labels\": {\"csv\": \"labels.csv\"}");
  CHECK(errors(R"({"format": "idx", "path": "x", "labels": {}})") ==
        "d.json:1:42: /labels: format 'idx' takes the path of a label file "
        "here");
  CHECK(errors(R"({"format": "wav", "path": "x", "labels": "y"})") ==
        "d.json:1:42: /labels: expected an object such as {\"csv\": "
        "\"labels.csv\"}");
  CHECK(errors(R"({"format": "synthetic", "path": "x", "count": 3})") ==
        "d.json:1:33: /path: format 'synthetic' does not use key 'path'");
  CHECK(errors(R"({"format": "wav", "path": "x",
                   "labels": {"from": "folder", "csv": "l.csv"}})") ==
        "d.json:2:39: /labels/from: labels come from the csv file; drop one "
        "of the two");
  CHECK(errors(R"({"format": "idx", "path": "x",
                   "image": {"resize": [2, 2], "resize_short": 2}})") ==
        "d.json:2:64: /image/resize_short: resize is given as well; drop one "
        "of the two");
  CHECK(errors("[]") == "d.json:1:1: expected object, found an array");
}

TEST_CASE("data: a descriptor inside a larger document") {
  TempDir dir;
  write(dir.path() / "sub/a.bin", std::string(3073, '\x02'));
  const JsonText text = JsonText::parse(
      R"({"data": {"format": "cifar-binary", "path": "sub/a.bin"}})", "r.json");
  const ir::Model model = image_model({-1, 3, 32, 32});
  const auto source =
      data::open_descriptor(text, "/data", dir.path(), model, {});
  CHECK(labels_of(read_all(*source)) == std::vector<int64_t>{2});
  CHECK(data::descriptor_files(text, "/data", dir.path()) ==
        std::vector<fs::path>{dir.path() / "sub/a.bin"});
  CHECK(error_of([&] {
          data::open_descriptor(text, "/data", dir.path() / "sub", model, {});
        }) == "input|r.json:1:45: /data/path: '" +
                  (dir.path() / "sub/sub/a.bin").string() + "' does not exist");
}

TEST_CASE("data: a bare image folder is an error with a descriptor") {
  TempDir dir;
  const std::string path = (dir.path() / "images").string();
  write(dir.path() / "images/cat/a.png", plain_png(2, 2, {1, 2, 3}));
  CHECK(fail(path, image_model({-1, 3, 224, 224})) ==
        "usage|" + path +
            ": does not say by itself how it is to be read (write a data "
            "descriptor, for example data.json with "
            "{\"format\":\"image-folder\",\"path\":\"" +
            path +
            "\",\"image\":{\"resize_short\":224,\"crop\":[224,224],"
            "\"channels\":\"rgb\",\"layout\":\"nchw\","
            "\"scale\":0.00392156862745098,\"mean\":[0],\"std\":[1]}}, and "
            "name that)");
  write_archive(dir.path() / "a.tar.gz", Pack::kTarGz,
                {{"a/1_x.wav", "no sound"}});
  const std::string archive = (dir.path() / "a.tar.gz").string();
  CHECK(fail(archive, image_model({-1, 1000})) ==
        "usage|" + archive +
            ": does not say by itself how it is to be read (write a data "
            "descriptor, for example data.json with "
            "{\"format\":\"wav\",\"path\":\"" +
            archive +
            "\",\"labels\":{\"from\":\"folder\"},\"audio\":{\"length\":16000,"
            "\"scale\":3.0517578125e-05}}, and name that)");
}

TEST_CASE("data: the descriptor an error shows is one that opens") {
  TempDir dir;
  write(dir.path() / "images/cat/a.png", plain_png(20, 30, {1, 2, 3}));
  const ir::Model model = image_model({1, 8, 10, 1});
  const std::string message = fail((dir.path() / "images").string(), model);
  const size_t start = message.find("data.json with ") + 15;
  const std::string text =
      message.substr(start, message.rfind(", and name that") - start);
  CHECK(open_text(dir.path(), text, model)->size() == 1);
  CHECK(read_all(*open_text(dir.path(), text, model)).size() == 1);
}

TEST_CASE("data: a path that is not there") {
  CHECK(fail("nowhere/data.json", image_model({1, 2})) ==
        "input|nowhere/data.json: no such file or folder (name a data "
        "descriptor, an .npz, a folder of ONNX test cases, or 'synthetic')");
}

TEST_CASE("data: the files that a spec reads") {
  TempDir dir;
  CHECK(data::input_files("synthetic").empty());
  write(dir.path() / "images/b/2.png", "");
  write(dir.path() / "images/a/1.png", "");
  write(dir.path() / "images/.hidden", "");
  write(dir.path() / "l.csv", "");
  write(dir.path() / "d.json",
        R"({"format": "image-list", "path": "images",
            "labels": {"csv": "l.csv"}})");
  CHECK(data::input_files((dir.path() / "d.json").string()) ==
        std::vector<fs::path>{
            dir.path() / "d.json", dir.path() / "images/a/1.png",
            dir.path() / "images/b/2.png", dir.path() / "l.csv"});
  CHECK(data::input_files((dir.path() / "l.csv").string()) ==
        std::vector<fs::path>{dir.path() / "l.csv"});
}

TEST_CASE("data: the published schema is the one that is checked") {
  CHECK(slurp(fs::path(LATHE_SOURCE_DIR) / "docs/schemas/data.schema.json") ==
        data::descriptor_schema());
}

TEST_CASE("data: a model of two inputs needs more than one array of images") {
  TempDir dir;
  write(dir.path() / "a.bin", std::string(3073, '\x02'));
  const ir::Model two =
      model_with({{"x", ir::DataType::kFloat, {-1, 3, 32, 32}},
                  {"y", ir::DataType::kFloat, {-1}}});
  CHECK(error_of([&] {
          open_text(dir.path(), R"({"format": "cifar-binary", "path": "a.bin",
                                    "input": "x"})",
                    two);
        }) == "input|" + (dir.path() / "data.json").string() +
                  ":2:46: /input: the model has 2 inputs (x, y) and this data "
                  "feeds one (use an .npz with one array for each input)");
}

}  // namespace
}  // namespace lathe::test
