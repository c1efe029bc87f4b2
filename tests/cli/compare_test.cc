// `lathe compare` from outside.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/base/random.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/graph.h"
#include "tests/cli/model_folder.h"

namespace lathe {
namespace {

using test::keys;

struct Quantized : test::ModelFolder {
  Quantized() { quantize("m.onnx", "q.onnx"); }
  void quantize(const char* from, const char* to,
                const char* equalize = "off") const {
    const auto result =
        run({"quantize", from, "--data", "synthetic", "--samples", "8", "-o",
             to, "-q", "--placement", "all", "--equalize", equalize});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
  }
  test::ProcessResult compare(std::vector<std::string> more) const {
    std::vector<std::string> args{"compare",   "m.onnx",    "q.onnx", "--data",
                                  "synthetic", "--samples", "8"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
};

// Conv "wide" makes one of its channels `factor` times as large as it was, Conv
// "narrow" takes that back.
void write_skewed_model(const std::filesystem::path& path,
                        double factor = 100) {
  Random random(7);
  ir::Model model;
  model.opset_imports[""] = 17;
  ir::Graph& graph = *model.graph;
  graph.name = "skewed";
  ir::ValueType type;
  type.elem = ir::DataType::kFloat;
  type.shape = ir::Shape{1, 8, 16, 16};
  ir::Value* value = graph.add_input("input", type);
  const auto conv = [&](const std::string& name, double out_factor,
                        double in_factor) {
    std::vector<float> weights(8 * 8 * 3 * 3);
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<float>(random.normal() * 0.15);
      if (i / 72 == 5) weights[i] *= static_cast<float>(out_factor);
      if (i / 9 % 8 == 5) weights[i] *= static_cast<float>(in_factor);
    }
    ir::Node* node = graph.add_node(
        "Conv",
        {value,
         graph.add_initializer(name + ".weight",
                               ir::Tensor::from<float>({8, 8, 3, 3}, weights))},
        std::vector<std::string>{name + "_out"});
    node->name = name;
    node->set_attr("pads", std::vector<int64_t>{1, 1, 1, 1});
    ir::Node* relu = graph.add_node("Relu", {node->output()},
                                    std::vector<std::string>{name + "_relu"});
    relu->name = name + ".relu";
    value = relu->output();
    value->type = type;
  };
  conv("first", 1, 1);
  conv("wide", factor, 1);
  conv("narrow", 1, 1 / factor);
  conv("last", 1, 1);
  graph.add_output(value);
  io::export_onnx(model, path);
}

TEST_CASE("compare prints the contract's keys") {
  Quantized folder;
  const Json json = folder.json(
      {"compare", "m.onnx", "q.onnx", "--data", "synthetic", "--samples", "8"});
  CHECK(keys(json) == std::vector<std::string>{
                          "schema_version", "samples", "first_jump", "jumps",
                          "cause", "summary", "layers", "outputs", "agreement",
                          "unmatched", "remarks"});
  CHECK(json["schema_version"] == 1);
  CHECK(json["samples"] == 8);
  CHECK(json["jumps"] == false);
  CHECK(json["cause"].is_null());
  // The Conv's own result is gone: BatchNormalization is folded into it.
  CHECK(json["unmatched"] == 1);
  REQUIRE(json["layers"].size() == 6);
  double last = 1000;
  std::vector<std::string> names;
  for (const Json& layer : json["layers"]) {
    names.push_back(layer["name"]);
    CHECK(layer["sqnr_db"] > 20);
    CHECK(layer["cosine"] > 0.99);
    CHECK(layer["drop_db"] <= last);
    last = layer["drop_db"];
    if (layer["name"] != "relu_out") continue;
    CHECK(keys(layer) ==
          std::vector<std::string>{"name", "operator", "position", "sqnr_db",
                                   "drop_db", "cosine", "max_abs_diff",
                                   "channel_sqnr_db", "clipped_share",
                                   "unused_codes_share"});
    CHECK(layer["operator"] == "Relu");
    CHECK(layer["clipped_share"] < 0.01);
    CHECK(layer["unused_codes_share"] < 0.75);
  }
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"bn_out", "fc", "flat_out", "input",
                                          "pool_out", "relu_out"});
  REQUIRE(json["outputs"].size() == 1);
  CHECK(keys(json["outputs"][0]) ==
        std::vector<std::string>{"name", "sqnr_db", "cosine", "max_abs_diff"});
}

TEST_CASE("compare's table, cut to the worst layers") {
  Quantized folder;
  const auto result = folder.compare({"--top", "2", "-q"});
  CHECK(result.code == 0);
  CHECK(result.err ==
        "warning: the data is synthetic: real data may lose more, and "
        "elsewhere\n");
  const auto& out = result.out;
  CHECK(out.starts_with("q.onnx against m.onnx: 8 samples\n"));
  CHECK(
      out.find("(2 of 6 layers, those that lose most; --top N shows more)\n") !=
      std::string::npos);
  CHECK(out.find("\nagreement ") != std::string::npos);
  CHECK(out.find("\nremark: 1 of 7 layers have no counterpart in the second "
                 "model: folded into others, or not found\n") !=
        std::string::npos);
  CHECK(folder.compare({"--top", "0"}).out.find("of 6 layers") ==
        std::string::npos);
}

TEST_CASE("compare as a gate") {
  Quantized folder;
  CHECK(folder.compare({"--min-sqnr", "5"}).code == 0);
  const auto missed = folder.compare({"--min-sqnr", "150dB", "--json"});
  CHECK(missed.code == 3);
  const Json json = Json::parse(missed.out);
  CHECK(json["gate"] == Json{{"min_sqnr_db", 150.0}, {"passed", false}});
  CHECK(missed.err.find("warning: output 'output' has ") != std::string::npos);
  CHECK(missed.err.find(" dB, --min-sqnr asks for 150.0 dB\n") !=
        std::string::npos);
  const auto wrong = folder.compare({"--min-sqnr", "many"});
  CHECK(wrong.code == 2);
  CHECK(wrong.err ==
        "error: --min-sqnr: found 'many', expected a number of dB like 20\n");
}

TEST_CASE("compare's page needs nothing beside itself") {
  Quantized folder;
  CHECK(folder.compare({"--html", "page.html"}).code == 0);
  const std::string page = read_file(folder.path("page.html"));
  CHECK(page.starts_with("<!DOCTYPE html>\n"));
  CHECK(page.ends_with("</html>\n"));
  for (const char* external : {"http", "src=", "href=", "@import", "url("})
    CHECK_MESSAGE(page.find(external) == std::string::npos, external);
  size_t bars = 0;
  for (size_t at = 0; (at = page.find("<rect ", at)) != std::string::npos; ++at)
    ++bars;
  CHECK(bars == 6);
  CHECK(page.find("<td>relu_out</td><td>Relu</td>") != std::string::npos);
  const auto missing = folder.compare({"--html", "no/page.html"});
  CHECK(missing.code == 2);
  CHECK(missing.err ==
        "error: no/page.html: the folder to write to does not exist\n"
        "hint: create it first\n");
}

TEST_CASE("compare names the layer that quantization cannot serve") {
  Quantized folder;
  write_skewed_model(folder.path("skewed.onnx"));
  folder.quantize("skewed.onnx", "skewed-int8.onnx");
  const Json json = folder.json({"compare", "skewed.onnx", "skewed-int8.onnx",
                                 "--data", "synthetic", "--samples", "8"});
  CAPTURE(json.dump(1));
  CHECK(json["jumps"] == true);
  CHECK(json["first_jump"] == "narrow");
  CHECK(json["cause"] == "wide.relu");
  // By default its channels are evened out first.
  folder.quantize("skewed.onnx", "even-int8.onnx", "auto");
  const auto fidelity = [&](const char* model) {
    return folder
        .json({"eval", model, "--data", "synthetic", "--against", "skewed.onnx",
               "--samples", "8"})["outputs"][0]["sqnr_db"]
        .get<double>();
  };
  CHECK(fidelity("even-int8.onnx") > fidelity("skewed-int8.onnx") + 10);
}

TEST_CASE("a collapse is no success") {
  Quantized folder;
  write_skewed_model(folder.path("lost.onnx"), 1e5);
  const auto quantize = [&](const char* equalize) {
    return folder.run({"quantize", "lost.onnx", "--data", "synthetic",
                       "--samples", "8", "-o", "lost-int8.onnx", "--placement",
                       "all", "--equalize", equalize});
  };
  const auto lost = quantize("off");
  CHECK(lost.code == 3);
  CHECK(
      lost.out.find("note: the model has collapsed: output 'last_relu' has ") !=
      std::string::npos);
  CHECK(lost.out.find("`lathe compare` shows the layer where\n") !=
        std::string::npos);
  CHECK(std::filesystem::exists(folder.path("lost-int8.onnx")));
  CHECK(quantize("auto").code == 0);
}

TEST_CASE("compare says which models do not belong together") {
  Quantized folder;
  write_skewed_model(folder.path("skewed.onnx"));
  const auto result = folder.run(
      {"compare", "m.onnx", "skewed.onnx", "--data", "synthetic", "-q"});
  CHECK(result.code == 2);
  CHECK(result.err.ends_with(
      "error: model: input 'input' is float[1,3,8,8], the model expects "
      "float[1,8,16,16]\n"));
}

}  // namespace
}  // namespace lathe
