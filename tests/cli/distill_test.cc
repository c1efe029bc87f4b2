// `lathe distill` from outside.
#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "passes/base/file.h"
#include "tests/cli/model_folder.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using Args = std::vector<std::string>;
using test::ModelFolder;

struct DistillFolder : ModelFolder {
  static Args with(Args args) {
    args.insert(args.begin(),
                {"distill", "--teacher", "m.onnx", "--data", "synthetic",
                 "--threads", "1", "--jobs", "1", "-q"});
    return args;
  }
  static Args halved(Args args) {
    args.insert(args.begin(), {"--student-width", "0.5", "-o", "s.onnx"});
    return with(args);
  }
  // Exit code 2, nothing written, and this on stderr.
  std::string refused(Args args) const {
    args.insert(args.end(), {"-o", "s.onnx"});
    const auto result = run(with(args));
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK_FALSE(fs::exists(path("s.onnx")));
    return result.err;
  }
  std::set<std::string> left() const {
    std::set<std::string> names;
    for (const auto& entry :
         fs::directory_iterator(path("s.onnx.training") / "distill"))
      names.insert(entry.path().filename().string());
    return names;
  }
};

TEST_CASE("distill writes a model, its curve and a page") {
  const DistillFolder folder;
  const auto result = folder.run(DistillFolder::halved(
      {"--steps", "4", "--samples", "40", "--batch-size", "8", "--html",
       "curve.html", "--loss", "kl", "--temperature", "2"}));
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out.starts_with("s.onnx: "));
  // Eight channels are the fewest that a kernel is fast with.
  CHECK(folder.json({"inspect", "s.onnx"})["parameters"] ==
        8 * 27 + 4 * 8 + 4 * 8 + 4);
  CHECK(read_file(folder.path("s.onnx")) != read_file(folder.path("m.onnx")));
  const std::string page = read_file(folder.path("curve.html"));
  CHECK(page.find("<polyline stroke=\"") != std::string::npos);
  CHECK(page.find("<p>distill: 4 steps, 32 samples, ") != std::string::npos);
  CHECK(folder.left() == std::set<std::string>{"metrics.jsonl"});
  std::istringstream lines(
      read_file(folder.path("s.onnx.training") / "distill/metrics.jsonl"));
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json point = Json::parse(line);
    CHECK(point["step"] == ++count);
    CHECK(test::keys(point["terms"]) == Args{"kl"});
    CHECK(point.contains("held_out_loss"));
  }
  CHECK(count == 4);
}

TEST_CASE("distill: the same command gives the same bytes") {
  const DistillFolder folder;
  std::set<std::string> all;
  for (int i = 0; i < 2; ++i) {
    REQUIRE(folder.run(DistillFolder::halved({"--steps", "3"})).code == 0);
    all.insert(read_file(folder.path("s.onnx")));
  }
  CHECK(all.size() == 1);
  REQUIRE(
      folder.run(DistillFolder::halved({"--steps", "3", "--seed", "9"})).code ==
      0);
  CHECK_FALSE(all.contains(read_file(folder.path("s.onnx"))));
}

TEST_CASE("distill prints its recipe") {
  const DistillFolder folder;
  const auto printed = folder.run(DistillFolder::with(
      {"--student", "m.onnx", "--time-budget", "20min", "--loss",
       "mse:output=0.5", "--loss", "dkd", "--temperature", "3", "--augment",
       "flip,shift=2", "--augment", "crop=0.5,erase=0.25", "--optimizer",
       "adamw", "--ema", "0.99", "--print-recipe"}));
  CHECK(printed.err == "");
  REQUIRE(printed.code == 0);
  const Json recipe = Json::parse(printed.out);
  CHECK(recipe["stages"] ==
        Json::parse(R"([{"pass": "load_student", "options": {"student": ")" +
                    folder.path("m.onnx").string() + R"("}},
          {"pass": "distill", "options": {
            "losses": [{"loss": "mse", "weight": 0.5, "output": "output"},
                       {"loss": "dkd", "temperature": 3.0}],
            "time_budget_s": 1200.0, "optimizer": "adamw", "ema": 0.99,
            "augment": {"flip": true, "shift": 2, "crop": 0.5,
                        "erase": 0.25}}},
          {"pass": "reestimate_batch_norm"}])"));
  const auto fresh = folder.run(
      DistillFolder::halved({"--fresh", "--mode", "blocks", "--print-recipe"}));
  const Json narrow = Json::parse(fresh.out);
  CHECK(narrow["stages"][0] == Json::parse(R"({"pass": "scale_width",
                        "options": {"ratio": 0.5, "weights": "fresh"}})"));
  CHECK(narrow["stages"][1]["options"]["mode"] == "blocks");
}

TEST_CASE("distill says what it needs") {
  const DistillFolder folder;
  const std::string see = "hint: see 'lathe help distill'\n";
  const std::string one = "hint: give one of the two\n";
  CHECK(folder.refused({}) ==
        "error: lathe distill: --student or --student-width is required\n" +
            one);
  CHECK(folder.refused({"--student", "m.onnx", "--student-width", "0.5"}) ==
        "error: lathe distill: --student-width was found beside --student\n" +
            one);
  CHECK(folder.refused({"--student", "m.onnx", "--fresh"}) ==
        "error: --fresh: found without --student-width\n"
        "hint: it says what a narrower teacher's weights start from\n");
  CHECK(folder.refused({"--student", "none.onnx"}) ==
        "error: none.onnx: no such file\nhint: check the path\n");
  const auto halved = [&](Args args) {
    args.insert(args.begin(), {"--student-width", "0.5"});
    return folder.refused(args);
  };
  CHECK(halved({"--steps", "4", "--time-budget", "10s"}) ==
        "error: --time-budget: found beside --steps\n" + one);
  CHECK(halved({"--loss", "mze"}) ==
        "error: loss 'mze': there is no such loss; did you mean 'mse'?\n"
        "hint: the losses are kl, dkd, dist, mse, cosine, cross_entropy, "
        "features, attention\n");
  CHECK(halved({"--loss", "kl=much"}) ==
        "error: --loss: found 'much', expected a number\n" + see);
  CHECK(halved({"--loss", "cross_entropy", "--steps", "2"}) ==
        "error: loss cross_entropy: needs labels, and the samples have none\n"
        "hint: leave it out: the other losses need none\n");
  CHECK(halved({"--loss", "kl:scores", "--steps", "2"})
            .starts_with("error: loss kl: the teacher has no output "
                         "'scores'"));
  CHECK(halved({"--temperature", "2"}) ==
        "error: --temperature: found without --loss\n"
        "hint: say which loss it is for, as in --loss kl --temperature 2\n");
  CHECK(halved({"--augment", "flop"}) ==
        "error: --augment: found 'flop'; expected flip, shift=PIXELS, "
        "crop=LEAST_SHARE or erase=PROBABILITY\n" +
            see);
  CHECK(halved({"--augment", "shift"}) ==
        "error: --augment: found '', expected a number\n" + see);
  CHECK(
      halved({"--augment", "flip", "--steps", "2"}) ==
      "error: augment: varies images that are read from files, but the data is "
      "synthetic random input\n"
      "hint: leave it out\n");
  CHECK(halved({"--patience", "2", "--held-out", "0", "--steps", "2"}) ==
        "error: patience: needs samples that are held out\n");
  CHECK(halved({"--optimizer", "lion"}) ==
        "error: --optimizer: found 'lion', expected one of sgd, adamw\n");
}

// Steps that take longer than a signal needs, and always the same.
Args long_run(const std::string& steps) {
  return DistillFolder::halved({"--steps", steps, "--samples", "64",
                                "--batch-size", "16", "--accumulate", "4"});
}

TEST_CASE("distill goes on after Ctrl-C") {
  const DistillFolder folder;
  Args args = long_run("1000000");
  std::erase(args, "-q");
  {
    test::Process process(args, {folder.path(""), {}});
    REQUIRE(process.wait_for_stderr("train\n"));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    process.signal(SIGINT);
    const auto result = process.finish();
    CHECK(result.code == 130);
    CHECK(result.out == "");
    CHECK(result.err.find("error: training: stopped after step ") !=
          std::string::npos);
    CHECK(result.err.ends_with("hint: the same command goes on from there\n"));
    CHECK_FALSE(fs::exists(folder.path("s.onnx")));
    CHECK(folder.left().contains("checkpoint"));
  }
  test::Process process(args, {folder.path(""), {}});
  CHECK(process.wait_for_stderr("training goes on after step "));
  process.signal(SIGINT);
  CHECK(process.finish().code == 130);
  // Other options are another run.
  args.insert(args.end(), {"--learning-rate", "0.5"});
  const auto other = folder.run(args);
  CHECK(other.code == 2);
  CHECK(other.err.ends_with(
      "checkpoint: is the checkpoint of a run with other models, data or "
      "options\n"
      "hint: give what it was started with, or --restart to throw it away\n"));
  args.insert(args.end(), {"--restart"});
  args[static_cast<size_t>(std::find(args.begin(), args.end(), "1000000") -
                           args.begin())] = "2";
  CHECK(folder.run(args).code == 0);
  CHECK(folder.left() == std::set<std::string>{"metrics.jsonl"});
}

TEST_CASE("distill, killed at any time, ends in the same bytes") {
  const Args args = long_run("80");
  const DistillFolder whole;
  REQUIRE(whole.run(args).code == 0);
  const DistillFolder killed;
  // With a checkpoint every few steps, by a recipe: the flags have none.
  Args recipe_args = args;
  recipe_args.push_back("--print-recipe");
  Json recipe = Json::parse(killed.run(recipe_args).out);
  recipe["stages"][1]["options"]["checkpoint_s"] = 0.02;
  recipe["device"]["profile"] = "arm64-neon-dotprod";  // nothing is measured
  write_file_atomic(killed.path("recipe.json"), recipe.dump());
  const Args repeated = {"run", "recipe.json", "--jobs", "1",
                         "-o",  "out",         "-q"};
  const fs::path checkpoint = killed.path("out/training/distill/checkpoint");
  for (const int after_ms : {0, 40, 90}) {
    test::Process process(repeated, {killed.path(""), {}});
    // The first time, until there is something to go on from.
    for (int i = 0; i < 2000 && !fs::exists(checkpoint); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
    process.signal(SIGKILL);
    CHECK(process.finish().code == 128 + SIGKILL);
  }
  const auto result = killed.run(repeated);
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const Json report = Json::parse(read_file(killed.path("out/report.json")));
  CHECK(report["stages"][2]["training"]["resumed_at"] > 0);
  CHECK(report["stages"][2]["training"]["curve"].size() == 80);
  CHECK_FALSE(fs::exists(checkpoint));
  // Beside what other stages gave.
  bool found = false;
  for (const auto& entry : fs::directory_iterator(killed.path("out/variants")))
    found |= read_file(entry.path()) == read_file(whole.path("s.onnx"));
  CHECK(found);
}

}  // namespace
}  // namespace lathe
