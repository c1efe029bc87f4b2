// `lathe prune` and `lathe inspect --groups` from outside.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "tests/cli/model_folder.h"

namespace lathe {
namespace {

using test::ModelFolder;

constexpr const char* kPlan =
    "{\"schema_version\": 1, \"groups\": [\n"
    "  {\"name\": \"conv\", \"units\": 8, \"removed\": [0, 3, 7]}]}\n";

struct PlanFolder : ModelFolder {
  PlanFolder() { write_file_atomic(path("plan.json"), kPlan); }
  // Exit code 2, nothing written, and this on stderr.
  std::string refused(std::vector<std::string> args) const {
    args.insert(args.begin(), {"prune", "m.onnx", "-o", "p.onnx", "-q"});
    const auto result = run(args);
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK_FALSE(std::filesystem::exists(path("p.onnx")));
    return result.err;
  }
};

TEST_CASE("prune by a plan, and what it says") {
  const PlanFolder folder;
  const auto result =
      folder.run({"prune", "m.onnx", "--plan", "plan.json", "--no-repair",
                  "--plan-out", "again.json", "-o", "p.onnx", "-q"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out.starts_with("p.onnx: "));
  CHECK(result.out.find("\n1 of 1 groups lose units\n"
                        "prune_channels  kept  of\n"
                        "conv               5   8\n") != std::string::npos);
  const Json json = folder.json({"inspect", "p.onnx"});
  CHECK(json["parameters"] == 5 * 27 + 5 + 4 * 5 + 4);
  // What was written says the same, and is a plan.
  const std::string written = read_file(folder.path("again.json"));
  CHECK(written.find("\n    {\"name\": \"conv\", \"kind\": \"channel\", "
                     "\"units\": 8, \"kept\": 5, \"removed\": [0, 3, 7]}") !=
        std::string::npos);
  CHECK(folder.run({"validate", "again.json"}).out ==
        "again.json: valid pruning plan\n");
  REQUIRE(folder
              .run({"prune", "m.onnx", "--plan", "again.json", "--no-repair",
                    "-o", "q.onnx", "-q"})
              .code == 0);
  CHECK(read_file(folder.path("q.onnx")) == read_file(folder.path("p.onnx")));
}

TEST_CASE("prune with zeros in the place of channels") {
  const PlanFolder folder;
  folder.json({"prune", "m.onnx", "--plan", "plan.json", "--no-repair",
               "--mask", "-o", "masked.onnx"});
  folder.json({"prune", "m.onnx", "--plan", "plan.json", "--no-repair", "-o",
               "p.onnx"});
  CHECK(folder.json({"inspect", "masked.onnx"})["parameters"] ==
        8 * 27 + 8 + 4 * 8 + 4);
  CHECK(folder.json({"eval", "p.onnx", "--data", "synthetic", "--against",
                     "masked.onnx", "--samples",
                     "4"})["outputs"][0]["max_abs_diff"] < 1e-5);
}

TEST_CASE("prune says what it needs") {
  const PlanFolder folder;
  CHECK(folder.refused({}) ==
        "error: lathe prune: --target-latency, --plan, --sparsity or --nm is "
        "required\n"
        "hint: see 'lathe help prune'\n");
  CHECK(folder.refused({"--target-latency", "3"}) ==
        "error: --target-latency: '3' has no unit; a target is like 5ms, "
        "800us, 0.5x or 200fps\n");
  CHECK(folder.refused({"--nm", "2:4", "--iterations", "2"}) ==
        "error: --nm: found beside --iterations, which is about removing "
        "channels; --nm sets weights to zero\n"
        "hint: prune first and make the result sparse\n");
  CHECK(folder.refused({"--nm", "2:4", "--sparsity", "0.5"}) ==
        "error: --nm: found beside --sparsity\n"
        "hint: give one of the two\n");
  CHECK(folder.refused({"--nm", "4:2"}) ==
        "error: --nm: found '4:2', expected N:M like 2:4 with N below M\n"
        "hint: see 'lathe help prune'\n");
  CHECK(folder.refused({"--sparsity", "50%"}) ==
        "error: --sparsity: found '50%', expected a number from 0 to 1 like "
        "0.5\n");
  CHECK(folder.refused({"--target-latency", "0.5x", "--saliency", "l3"})
            .starts_with("error: --saliency: found 'l3', expected one of "));
  CHECK(folder.refused({"--plan", "plan.json", "--plan-out", "no/p.json"}) ==
        "error: no/p.json: the folder to write to does not exist\n"
        "hint: create it first\n");
}

TEST_CASE("prune finds a plan's mistakes before it runs") {
  const PlanFolder folder;
  write_file_atomic(folder.path("bad.json"),
                    "{\"schema_version\": 1, \"groups\": [\n"
                    "  {\"name\": \"conv\", \"remove\": [1], \"kept\": 0}]}");
  const std::string lines =
      "error: bad.json:2:30: /groups/0/remove: unknown key 'remove'; did you "
      "mean 'removed'?\n"
      "error: bad.json:2:43: /groups/0/kept: 0 is out of range, expected at "
      "least 1\n";
  CHECK(folder.refused({"--plan", "bad.json"}) == lines);
  const auto validated = folder.run({"validate", "bad.json"});
  CHECK(validated.code == 2);
  CHECK(validated.err == lines);
}

TEST_CASE("prune prints its recipe, which runs from elsewhere") {
  const PlanFolder folder;
  const auto printed =
      folder.run({"prune", "m.onnx", "--plan", "plan.json", "--no-repair",
                  "--keep", "fc*", "--max-ratio", "0.5", "--print-recipe"});
  CHECK(printed.err == "");
  REQUIRE(printed.code == 0);
  const Json recipe = Json::parse(printed.out);
  CHECK(recipe["stages"] ==
        Json::parse(R"([{"pass": "simplify"}, {"pass": "prune_channels",
          "options": {"plan": ")" +
                    folder.path("plan.json").string() +
                    R"(", "max_ratio": 0.5, "keep": ["fc*"],
                    "repair": false}}])"));
  const auto target =
      folder.run({"prune", "m.onnx", "--target-latency", "0.5x", "--max-drop",
                  "1%", "--iterations", "3", "--no-blocks", "--print-recipe"});
  const Json solved = Json::parse(target.out);
  CHECK(solved["targets"] ==
        Json::parse(R"({"latency": ["0.5x"], "max_drop": 0.01})"));
  CHECK(solved["stages"][1]["options"] ==
        Json::parse(R"({"latency_limit": "0.5x", "iterations": 3,
                        "blocks": false})"));
}

TEST_CASE("prune to a latency that needs nothing") {
  const ModelFolder folder;
  const auto result =
      folder.run({"prune", "m.onnx", "--target-latency", "1000ms", "--saliency",
                  "l1", "--no-repair", "-o", "p.onnx", "--json"});
  CAPTURE(result.err);
  // A model this small need not come out as fast as before: 3 says so.
  REQUIRE((result.code == 0 || result.code == 3));
  const Json stage = Json::parse(result.out)["stages"].back();
  CHECK(stage["pass"] == "prune_channels");
  CHECK(stage["plan"]["groups"][0]["kept"] == 8);
}

TEST_CASE("compress --prune leaves what int8 alone makes fast enough") {
  const ModelFolder folder;
  const auto result =
      folder.run({"compress", "m.onnx", "--data", "synthetic", "--samples", "8",
                  "--target-latency", "1000ms", "--prune", "-o", "out", "-q"});
  CAPTURE(result.err);
  // A model this small need not gain from int8: 3 says so.
  REQUIRE((result.code == 0 || result.code == 3));
  CHECK(result.out.find("\n0 of 1 groups lose units\n") != std::string::npos);
  const Json report = Json::parse(read_file(folder.path("out/report.json")));
  CHECK(report["stages"][2]["pass"] == "prune_channels");
  CHECK(report["stages"][2]["changes"] == 0);
  for (const Json& variant : report["variants"])
    CHECK(variant["stage"] != "prune_channels");
}

TEST_CASE("prune for a device that is named aims at its 95th percentile") {
  const auto printed =
      test::run_lathe({"prune", "m.onnx", "--target-latency", "3ms", "--device",
                       "board.json", "--print-recipe"});
  REQUIRE(printed.code == 0);
  CHECK(Json::parse(printed.out)["stages"][1]["options"] ==
        Json::parse(R"({"latency_limit": "3ms", "confidence": 0.95})"));
}

TEST_CASE("prune to a latency that cannot be") {
  const PlanFolder folder;
  const std::string message = folder.refused(
      {"--target-latency", "0.001us", "--saliency", "l1", "--no-repair"});
  CAPTURE(message);
  CHECK(message.starts_with("error: "));
}

TEST_CASE("prune makes weights sparse") {
  const ModelFolder folder;
  const auto zeros = [&](const char* file) {
    const ir::Model model = io::import_onnx(folder.path(file));
    int64_t count = 0;
    for (const ir::Value* value : model.graph->initializers())
      if (value->tensor().rank() > 1)
        for (const float weight : value->tensor().to_floats())
          count += weight == 0;
    return count;
  };
  const Json half =
      folder.json({"prune", "m.onnx", "--sparsity", "0.75", "-o", "half.onnx"});
  CHECK(half["stages"].back()["options"]["sparsity"] == 0.75);
  CHECK(zeros("half.onnx") == 162 + 24);
  const Json blocks = folder.json({"prune", "m.onnx", "--nm", "1:4", "--keep",
                                   "conv", "-o", "blocks.onnx"});
  CHECK(blocks["stages"].back()["remarks"][0]["reason"] == "keep names it");
  CHECK(zeros("blocks.onnx") == 24);
}

TEST_CASE("inspect shows the groups") {
  const ModelFolder folder;
  const auto result =
      folder.run({"inspect", "m.onnx", "--groups", "--dot", "groups.dot"});
  CHECK(result.code == 0);
  CHECK(result.err == "");
  CHECK(result.out ==
        "group  units  kind             computed by  read by\n"
        "conv       8  channel          conv         fc\n"
        "fc         4  channel  frozen  fc\n"
        "\n"
        "frozen fc: 'output' is an output of the model\n");
  CHECK(read_file(folder.path("groups.dot")) == R"(digraph "m.onnx" {
  node [shape=box, fontname="sans-serif"];
  edge [fontname="sans-serif"];
  "node conv_out" [label="conv\nConv"];
  "node output" [label="fc\nGemm"];
  "group fc" [shape=ellipse, color="gray60", style=dashed, label="fc\n4 channels"];
  "node conv_out" -> "node output" [color="0.000 0.8 0.7", label="conv\n8 channels"];
  "node output" -> "group fc" [color="gray60", style=dashed];
}
)");
  const Json json = folder.json({"inspect", "m.onnx", "--groups"});
  CHECK(json["parameters"] > 0);
  CHECK(json["groups"] == Json::parse(R"([
    {"name": "conv", "kind": "channel", "units": 8,
     "computed_by": [{"node": "conv", "operator": "Conv",
                      "weight": "conv.weight", "axis": 0},
                     {"node": "conv", "operator": "Conv",
                      "weight": "conv_bias", "axis": 0}],
     "read_by": [{"node": "fc", "operator": "Gemm", "weight": "fc.weight",
                  "axis": 0}],
     "rescaling": false},
    {"name": "fc", "kind": "channel", "units": 4,
     "computed_by": [{"node": "fc", "operator": "Gemm",
                      "weight": "fc.weight", "axis": 1},
                     {"node": "fc", "operator": "Gemm", "weight": "fc.bias",
                      "axis": 0}],
     "read_by": [], "rescaling": false,
     "frozen": "'output' is an output of the model"}])"));
  CHECK(json["remarks"] == Json::array());
}

}  // namespace
}  // namespace lathe
