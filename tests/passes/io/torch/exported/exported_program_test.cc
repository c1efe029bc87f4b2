#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "calibration/latency/session.h"
#include "passes/io/onnx/onnx.h"
#include "passes/io/torch/exported/exported_program_place.h"
#include "passes/ir/text_format.h"
#include "tests/passes/io/torch/exported/exported_program_fixture.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

using test::ProgramText;
using test::tensor_argument;

// linear, then relu, with a metadata that names a module and a line.
ProgramText two_layers() {
  ProgramText program;
  const std::string weight = program.parameter("fc.weight", {"2", "3"});
  const std::string bias = program.parameter("fc.bias", {"2"});
  program.user_input("x", {"s0", "3"});
  program.node(
      "torch.ops.aten.linear.default",
      {tensor_argument("input", "x"), tensor_argument("weight", weight),
       tensor_argument("bias", bias)},
      "linear", {"s0", "2"}, 7,
      R"({"nn_module_stack": "L__self__,,net.Net;L__self___fc,fc,)"
      R"(torch.nn.modules.linear.Linear", "stack_trace": )"
      R"("  File \"net.py\", line 7, in forward\n    x = self.fc(x)\n"})");
  program.node("torch.ops.aten.relu.default",
               {tensor_argument("self", "linear")}, "relu", {"s0", "2"});
  program.user_output("relu");
  return program;
}

const std::vector<test::SavedTensor> kTwoLayers{
    {"fc.weight", {2, 3}, {1, 2, 3, -1, -2, -3}}, {"fc.bias", {2}, {0.5, 1}}};

constexpr const char* kTwoLayersText =
    R"(ir_version 8
opset 17
producer "lathe" ""
graph main {
  input %x: float[batch,3]
  init %fc.weight = float[2,3] {1, 2, 3, -1, -2, -3}
  init %fc.bias = float[2] {0.5, 1}
  %fc/Gemm: float[batch,2] = Gemm(%x, %fc.weight, %fc.bias) {transB = 1} @fc/Gemm
  %relu: float[batch,2] = Relu(%fc/Gemm) @Relu
  output %relu
}
)";

std::string payload_config(const std::string& entries) {
  return "{\"config\": {" + entries + "}}";
}

std::string payload(const std::string& name, const std::string& file,
                    const std::string& sizes, const std::string& strides,
                    int offset, bool pickled = false) {
  return "\"" + name + R"(": {"path_name": ")" + file +
         R"(", "is_param": true, "use_pickle": )" +
         (pickled ? "true" : "false") +
         R"(, "tensor_meta": {"dtype": 7, "sizes": )" + sizes +
         R"(, "requires_grad": true, "device": {"type": "cpu"}, "strides": )" +
         strides + R"(, "storage_offset": {"as_int": )" +
         std::to_string(offset) + R"(}, "layout": 7}})";
}

const std::string kSizes23 = R"([{"as_int": 2}, {"as_int": 3}])";
const std::string kStrides31 = R"([{"as_int": 3}, {"as_int": 1}])";
const std::string kSizes2 = R"([{"as_int": 2}])";
const std::string kStrides1 = R"([{"as_int": 1}])";

// PyTorch 2.9: both weights lie in one storage, the bias behind the weight.
test::ZipEntries file_a_tensor() {
  return {
      {"net/archive_format", "pt2"},
      {"net/archive_version", "0"},
      {"net/byteorder", "little"},
      {"net/.data/version", "6\n"},
      {"net/models/model.json", two_layers().text()},
      {"net/data/weights/weight_0",
       test::raw_floats({1, 2, 3, -1, -2, -3, 0.5, 1})},
      {"net/data/weights/model_weights_config.json",
       payload_config(
           payload("fc.weight", "weight_0", kSizes23, kStrides31, 0) + ", " +
           payload("fc.bias", "weight_0", kSizes2, kStrides1, 6))},
      {"net/data/constants/model_constants_config.json", payload_config("")}};
}

void replace_entry(test::ZipEntries& entries, const std::string& name,
                   std::string content) {
  for (auto& [key, value] : entries)
    if (key == name) value = std::move(content);
}

TEST_CASE("exported program: a program of PyTorch 2.6 as text") {
  const io::Imported imported = test::import_program(two_layers(), kTwoLayers);
  CHECK(ir::to_text(imported.model) == kTwoLayersText);
  CHECK(imported.notes.empty());
  CHECK(imported.references.empty());
  CHECK(imported.no_reference_reason ==
        "a torch.export program cannot be run by the linked LibTorch");
}

TEST_CASE("exported program: a program of PyTorch 2.8") {
  for (const std::string root : {"", "net/"}) {
    const io::Imported imported = test::import_entries(
        {{root + "archive_format", "pt2"},
         {root + "archive_version", "0"},
         {root + "models/tiny.json", two_layers().text()},
         {root + "data/weights/tiny.pt", test::saved_tensors(kTwoLayers)},
         {root + "data/constants/tiny.pt", test::saved_tensors({})},
         {root + "data/sample_inputs/tiny.pt", "unread"}});
    CHECK(ir::to_text(imported.model) == kTwoLayersText);
  }
}

TEST_CASE("exported program: a program of PyTorch 2.9, one file a tensor") {
  CHECK(ir::to_text(test::import_entries(file_a_tensor()).model) ==
        kTwoLayersText);
}

TEST_CASE("exported program: a tensor pickled within a program") {
  const std::string tensor = test::make_zip(
      {{"weight/data.pkl", test::py_pickle(test::py_tensor(
                               {.elements = 2, .sizes = {2}, .strides = {1}}))},
       {"weight/data/0", test::raw_floats({0.5, 1})}});
  test::ZipEntries entries = file_a_tensor();
  entries.emplace_back("net/data/weights/weight_1", tensor);
  replace_entry(
      entries, "net/data/weights/model_weights_config.json",
      payload_config(
          payload("fc.weight", "weight_0", kSizes23, kStrides31, 0) + ", " +
          payload("fc.bias", "weight_1", kSizes2, kStrides1, 0, true)));
  CHECK(ir::to_text(test::import_entries(entries).model) == kTwoLayersText);
}

TEST_CASE("exported program: weights that share their bytes are one") {
  ProgramText program;
  const std::string first = program.parameter("a.weight", {"2"});
  const std::string second = program.parameter("b.weight", {"2"});
  program.parameter("unused", {"2"});
  program.user_input("x", {"2"});
  program.node("torch.ops.aten.mul.Tensor",
               {tensor_argument("self", "x"), tensor_argument("other", first)},
               "mul", {"2"});
  program.node(
      "torch.ops.aten.add.Tensor",
      {tensor_argument("self", "mul"), tensor_argument("other", second)}, "add",
      {"2"});
  program.user_output("add");
  test::ZipEntries entries = file_a_tensor();
  replace_entry(entries, "net/models/model.json", program.text());
  replace_entry(
      entries, "net/data/weights/model_weights_config.json",
      payload_config(payload("a.weight", "weight_0", kSizes2, kStrides1, 0) +
                     ", " +
                     payload("b.weight", "weight_0", kSizes2, kStrides1, 0)));
  CHECK(ir::to_text(test::import_entries(entries).model) ==
        R"(ir_version 8
opset 17
producer "lathe" ""
graph main {
  input %x: float[2]
  init %a.weight = float[2] {1, 2}
  %Mul: float[2] = Mul(%x, %a.weight) @Mul
  %add: float[2] = Add(%Mul, %a.weight) @Add
  output %add
}
)");
}

TEST_CASE("exported program: input shapes are bound") {
  io::ImportOptions options;
  options.input_shapes[""] = {4, 3};
  const io::Imported imported =
      test::import_program(two_layers(), kTwoLayers, options);
  CHECK(ir::to_string(imported.model.graph->inputs()[0]->type) == "float[4,3]");
  CHECK(ir::to_string(imported.model.graph->outputs()[0]->type) ==
        "float[4,2]");
  options.input_shapes[""] = {4, 5};
  CHECK(test::program_error(test::program_entries(two_layers(), kTwoLayers),
                            options) ==
        "input 'x': shape 4x5 has 5 as dimension 1, but the model says "
        "batchx3");
}

TEST_CASE("exported program: real networks equal their ONNX files") {
  for (const char* name : {"cifar10_resnet20", "cifar10_resnet56"}) {
    const auto folder = std::filesystem::path("models") / name;
    const auto path = test::shared_file((folder / "model.pt2").string());
    const auto onnx = test::shared_file((folder / "model.onnx").string());
    if (path.empty() || onnx.empty()) continue;
    CAPTURE(name);
    const ir::Model model = io::import_exported_program(path, {}).model;
    CHECK(ir::to_string(model.graph->inputs()[0]->type) ==
          "float[batch,3,32,32]");
    const ir::Model reference = io::import_onnx(onnx);
    std::vector<float> pixels(2 * 3 * 32 * 32);
    for (size_t i = 0; i < pixels.size(); ++i)
      pixels[i] = std::sin(static_cast<float>(i));
    const auto input = ir::Tensor::from({2, 3, 32, 32}, pixels);
    const auto got = test::run_model(model, {input}).at(0).to_floats();
    const auto expected = test::run_model(reference, {input}).at(0).to_floats();
    REQUIRE(got.size() == expected.size());
    float largest = 0, difference = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      largest = std::max(largest, std::abs(expected[i]));
      difference = std::max(difference, std::abs(got[i] - expected[i]));
    }
    CHECK(largest > 0);
    CHECK(difference <= 1e-4f * largest);
  }
}

TEST_CASE("exported program: files that hold no program") {
  using test::program_error;
  CHECK(program_error({{"readme.txt", "hello"}}) ==
        "net.pt2: holds no torch.export program: there is neither "
        "serialized_exported_program.json nor models/NAME.json in it (export "
        "the model again and save it with torch.export.save)");
  CHECK(program_error({{"net/archive_format", "pt2"},
                       {"net/data/aotinductor/model/a.so", "?"}}) ==
        "net.pt2: holds code that AOTInductor compiled, and no program "
        "(export the model again and save it with torch.export.save)");
  CHECK(program_error(
            {{"net/models/a.json", "{}"}, {"net/models/b.json", "{}"}}) ==
        "net.pt2: holds 2 programs (a, b), and one is expected (save one "
        "program a file with torch.export.save)");

  test::ZipEntries entries = file_a_tensor();
  replace_entry(entries, "net/archive_version", "3");
  CHECK(program_error(entries) ==
        "net.pt2: archive_version: version '3' of the PT2 archive is not "
        "known, only 0 (export the model with an earlier PyTorch)");
  entries = file_a_tensor();
  replace_entry(entries, "net/byteorder", "big");
  CHECK(program_error(entries) ==
        "net.pt2: byteorder: weights in byte order 'big' cannot be read (save "
        "the program on a little-endian machine)");
}

TEST_CASE("exported program: weights that are not there") {
  using test::program_error;
  const std::string config = "net/data/weights/model_weights_config.json";
  CHECK(program_error(test::program_entries(two_layers(), {})) ==
        "net.pt2: the program uses the weight 'fc.weight', which the archive "
        "does not hold");

  test::ZipEntries entries = file_a_tensor();
  replace_entry(entries, config,
                payload_config(
                    payload("fc.weight", "weight_7", kSizes23, kStrides31, 0)));
  CHECK(program_error(entries) ==
        "net.pt2: data/weights/model_weights_config.json: "
        "/config/fc.weight/path_name: the archive has no such file in "
        "data/weights/");

  entries = file_a_tensor();
  replace_entry(entries, "net/data/weights/weight_0", "");
  CHECK(program_error(entries) ==
        "net.pt2: data/weights/weight_0: the bytes of 'fc.weight' were left "
        "out (export the model with real weights, not under FakeTensorMode)");

  entries = file_a_tensor();
  replace_entry(entries, config,
                payload_config(R"("fc.weight": {"path_name": "weight_0", )"
                               R"("is_param": false, "use_pickle": true, )"
                               R"("tensor_meta": null})"));
  CHECK(program_error(entries) ==
        "net.pt2: data/weights/model_weights_config.json: /config/fc.weight: "
        "'fc.weight' is an object of a class of its own, and not a tensor");
}

TEST_CASE("exported program: damaged JSON") {
  const auto error = [](const std::string& text) {
    return test::program_error({{"serialized_exported_program.json", text}});
  };
  const std::string file = "net.pt2: serialized_exported_program.json: ";
  CHECK(error("{\"graph_module\": ") == file + "not valid JSON at byte 17");
  CHECK(error(std::string(2000, '[')) ==
        file + "values nest deeper than 1000 levels");
  CHECK(error("{}") == file + "the key \"schema_version\" is missing");
  CHECK(error(R"({"schema_version": {"major": 9}})") ==
        file +
            "/schema_version/major: the program is written in version 9 of "
            "torch.export's schema, and 8 is the newest that is known (export "
            "the model with an earlier PyTorch)");
  CHECK(error(R"({"schema_version": {"major": "8"}})") ==
        file +
            "/schema_version/major: an integer of 64 bits was expected, but "
            "this is the text \"8\"");
  CHECK(error(R"({"schema_version": 1, "graph_module": []})") ==
        file + "/graph_module: an object was expected, but this is a list");
  const auto damaged = [&](const std::string& from, const std::string& to) {
    std::string text = two_layers().text();
    text.replace(text.find(from), from.size(), to);
    test::ZipEntries entries = test::program_entries(two_layers(), kTwoLayers);
    entries[0].second = text;
    return test::program_error(entries);
  };
  CHECK(damaged("\"input_specs\"", "\"inputs_to_parameters\"") ==
        file +
            "/graph_module/signature: the key \"input_specs\" is missing, as "
            "in programs of PyTorch 2.1 (export the model again with PyTorch "
            "2.2 or later)");
  CHECK(damaged(R"({"as_tensor": {"name": "linear"}}}])", "3}]") ==
        file +
            "/graph_module/graph/nodes/1/inputs/0/arg: an object was "
            "expected, but this is the number 3");
  CHECK(damaged(R"({"as_tensor": {"name": "linear"}}}])",
                R"({"as_tensor": {"name": "later"}}}])") ==
        file +
            "/graph_module/graph/nodes/1/inputs/0/arg/as_tensor/name: 'later' "
            "is used, but no node or input before gives it");
  CHECK(damaged(R"("x": {"dtype": 7)", R"("x": {"dtype": 99)") ==
        file +
            "/graph_module/graph/tensor_values/x/dtype: 99 is not a number of "
            "an element type");
  CHECK(damaged("\"user_input\"", "\"gift\"") ==
        file +
            "/graph_module/signature/input_specs/2: an input of kind gift is "
            "not known");
}

TEST_CASE("exported program: where a node comes from") {
  using io::exported::module_path;
  using io::exported::source_line;
  CHECK(module_path("") == "");
  CHECK(module_path("L__self__,,net.Net") == "");
  CHECK(module_path("L__self__,,net.Net;a,layer1.0.conv,torch.Conv2d") ==
        "layer1.0.conv");
  CHECK(module_path("a,L['self'].layer1[0].conv,torch.Conv2d") ==
        "layer1.0.conv");
  CHECK(module_path("a,L['self']._modules['layer1'],net.Layer") == "layer1");
  CHECK(module_path("a,fc@1,torch.Linear") == "fc");
  CHECK(module_path("a,fc,torch.Linear;_empty_nn_module_stack_from_metadata_"
                    "hook,_empty_nn_module_stack_from_metadata_hook,str") ==
        "fc");
  CHECK(source_line("") == "");
  CHECK(source_line("  File \"a.py\", line 3, in f\n    g()\n"
                    "  File \"b.py\", line 12, in g\n    return x\n") ==
        "b.py:12 in g");
}

TEST_CASE("exported program: an operator without a translation") {
  const auto error = [](const std::string& target) {
    ProgramText program = two_layers();
    std::string& node = program.nodes[0];
    const std::string from = "torch.ops.aten.linear.default";
    node.replace(node.find(from), from.size(), target);
    return test::program_error(test::program_entries(program, kTwoLayers));
  };
  const std::string place = " in fc (net.py:7 in forward): ";
  CHECK(error("torch.ops.mine.linear.default") ==
        "net.pt2: torch.ops.mine.linear.default" + place +
            "operator mine::linear has no translation to ONNX (replace it in "
            "the model by PyTorch's own operators)");
  CHECK(error("torch.ops.aten.frobnicate.default") ==
        "net.pt2: torch.ops.aten.frobnicate.default" + place +
            "operator aten::frobnicate.default has no translation to ONNX "
            "(replace it in the model, or export with torch.onnx.export)");
  CHECK(error("mine.helper") ==
        "net.pt2: mine.helper" + place +
            "function mine.helper has no translation to ONNX");
  CHECK(error("torch.ops.higher_order.auto_functionalized") ==
        "net.pt2: torch.ops.higher_order.auto_functionalized" + place +
            "higher_order::auto_functionalized has no translation to ONNX");
  CHECK(error("torch.ops.aten.add.Tensor") ==
        "net.pt2: torch.ops.aten.add.Tensor" + place +
            "found None, expected a tensor or a number");
}

TEST_CASE("exported program: the program says another type") {
  ProgramText program = two_layers();
  const auto says = [&](const std::string& meta) {
    for (std::string& value : program.values)
      if (value.starts_with("\"relu\"")) value = "\"relu\": " + meta;
    return test::program_error(test::program_entries(program, kTwoLayers));
  };
  const std::string head =
      "net.pt2: torch.ops.aten.relu.default: its translation gives "
      "float[batch,2], but the program says ";
  const std::string tail =
      " (this is a mistake of the translation, please report it)";
  CHECK(says(test::meta_json({"s0", "2"}, 5)) ==
        head + "int64[batch,2]" + tail);
  CHECK(says(test::meta_json({"s0", "3"})) == head + "float[batch,3]" + tail);
  CHECK(says(test::meta_json({"s0"})) == head + "float[batch]" + tail);
  CHECK(says(test::meta_json({"s0", "2"})) == "no error");
}

}  // namespace
}  // namespace lathe
