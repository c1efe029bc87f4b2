// Device profiles from outside: profile, estimate, validate, list devices.
#include <doctest/doctest.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "passes/base/json.h"
#include "tests/cli/model_folder.h"
#include "tests/cli/models.h"
#include "tests/cli/process.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using test::keys;
using test::run_lathe;

using Folder = test::ModelFolder;

// A profile made once, in a few seconds, for all tests of this file.
const std::string& quick_profile() {
  static const std::string text = [] {
    test::TempDir folder;
    const auto result =
        run_lathe({"profile", "-o", "device.json", "--budget", "12s", "-q"},
                  {folder.path(), {}});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return read_file(folder.path() / "device.json");
  }();
  return text;
}

struct Profiled : Folder {
  Profiled() { write_file_atomic(path("device.json"), quick_profile()); }
};

TEST_CASE("estimate: the keys that scripts rely on") {
  Folder folder;
  const Json json = folder.json({"estimate", "m.onnx"});
  CHECK(keys(json) == std::vector<std::string>{"schema_version", "device",
                                               "calibrated", "threads",
                                               "models"});
  const Json& model = json["models"][0];
  CHECK(keys(model) == std::vector<std::string>{"path", "latency_us",
                                                "unseen_share", "kernels",
                                                "warnings"});
  CHECK(keys(model["latency_us"]) ==
        std::vector<std::string>{"p5", "p50", "p95"});
  CHECK(model["latency_us"]["p5"] < model["latency_us"]["p50"]);
  CHECK(model["latency_us"]["p50"] < model["latency_us"]["p95"]);
  const Json& kernel = model["kernels"][0];
  for (const char* key : {"name", "kind", "nodes", "latency_us"})
    CHECK(kernel.contains(key));
  CHECK(kernel["latency_us"].is_number());
}

TEST_CASE("profile: a short one works, says what it is worth and is valid") {
  Profiled folder;
  const Json json = folder.json({"validate", "device.json"});
  CHECK(json["files"][0]["kind"] == "device profile");
  CHECK(json["files"][0]["valid"] == true);
  const Json profile = Json::parse(quick_profile());
  CHECK(profile["columns"][0]["threads"] == 1);
  CHECK(profile["columns"][0]["validation"]["networks"] > 3);
  CHECK(profile["columns"][0]["noise"]["rounds"] > 0);
  const Json estimate =
      folder.json({"estimate", "m.onnx", "--device", "device.json"});
  CHECK(estimate["calibrated"] == true);
  CHECK(estimate["models"][0]["unseen_share"] == 0);
  const double us = estimate["models"][0]["latency_us"]["p50"];
  CHECK(us > 1);
  CHECK(us < 1000);
}

TEST_CASE("estimate: a profile without the thread count says which it has") {
  Profiled folder;
  const auto result = folder.run(
      {"estimate", "m.onnx", "--device", "device.json", "--threads", "3"});
  CHECK(result.code == 2);
  const std::string name = Json::parse(quick_profile())["device"]["name"];
  CHECK(result.err ==
        "error: --threads: the device profile '" + name +
            "' was not measured with 3 threads, only with 1\n"
            "hint: `lathe profile --threads 3` measures this machine so\n");
}

TEST_CASE("estimate: an unknown device names the nearest") {
  Folder folder;
  const auto result =
      folder.run({"estimate", "m.onnx", "--device", "arm64-neon-dotprot"});
  CHECK(result.code == 2);
  CHECK(result.err.starts_with(
      "error: --device: there is no device profile 'arm64-neon-dotprot'; did "
      "you mean 'arm64-neon-dotprod'?\nhint: give a profile's file or one of "
      "the embedded ones: "));
}

// What `lathe validate` says of the profile after the change.
std::string broken(const Profiled& folder, const std::string& text) {
  write_file_atomic(folder.path("broken.json"), text);
  const auto result = folder.run({"validate", "broken.json"});
  CHECK(result.code == 2);
  CHECK(result.out == "");
  // An estimate refuses it in the same words.
  const auto estimate =
      folder.run({"estimate", "m.onnx", "--device", "broken.json"});
  CHECK(estimate.code == 2);
  return result.err;
}

TEST_CASE("validate: a truncated profile") {
  Profiled folder;
  const std::string& whole = quick_profile();
  const std::string error = broken(folder, whole.substr(0, whole.size() / 2));
  CHECK(error.starts_with("error: broken.json:1:"));
  CHECK(error.find(": not valid JSON: ") != error.npos);
}

TEST_CASE("validate: a profile of another version") {
  Profiled folder;
  Json json = Json::parse(quick_profile());
  json["schema_version"] = 7;
  const std::string error = broken(folder, json.dump());
  CHECK(error ==
        "error: broken.json:1:51: /schema_version: the profile is of version "
        "7, this program reads version 1 (profile the device again with "
        "`lathe profile`)\n");
}

TEST_CASE("validate: a profile that was edited by hand") {
  Profiled folder;
  Json json = Json::parse(quick_profile());
  json["columns"][0]["validation"]["mape"] = 0.001;
  const std::string error = broken(folder, json.dump());
  CHECK(error.starts_with("error: broken.json:1:"));
  CHECK(error.ends_with(
      ": /sha256: the checksum does not fit the content: the profile was "
      "edited or damaged (figures changed by hand are no measurement; profile "
      "the device again with `lathe profile`)\n"));
}

TEST_CASE("validate: a profile with a wrong value and a missing key") {
  Profiled folder;
  Json json = Json::parse(quick_profile());
  json["columns"][0]["threads"] = "two";
  json["device"].erase("cpu");
  const std::string error = broken(folder, json.dump());
  CHECK(error.find("1 more error") != error.npos);
  CHECK(error.find("/device") != error.npos);
}

TEST_CASE("profile: flags that do not go together") {
  Folder folder;
  const auto error = [&](std::vector<std::string> args) {
    args.insert(args.begin(), "profile");
    const auto result = folder.run(args);
    CHECK(result.code == 2);
    return result.err;
  };
  CHECK(error({"--validate", "m.onnx", "-o", "d.json"}) ==
        "error: lathe profile: --output does not go with --validate\n");
  CHECK(error({"--device", "d.json"}) ==
        "error: lathe profile: --device does not go with profiling\n");
  CHECK(error({"--budget", "soon", "-o", "d.json"}) ==
        "error: --budget: found 'soon', expected a time like 180s or 3min\n");
  CHECK(
      error({"--threads", "1,x"}) ==
      "error: --threads: found 'x', expected a whole number from 1 to 1024\n");
  const auto bench = folder.run({"bench", "m.onnx", "--threads", "1,2"});
  CHECK(bench.code == 2);
  CHECK(bench.err ==
        "error: --threads: found '1,2', expected a whole number from 1 to "
        "1024\n");
}

TEST_CASE("profile: interrupted, then resumed") {
  Folder folder;
  test::Process process(
      {"profile", "-o", "device.json", "--budget", "14s", "-v"},
      {folder.folder.path(), {}});
  for (int i = 0; i < 600 && !fs::exists(folder.path("device.json.partial"));
       ++i)
    ::usleep(50'000);
  REQUIRE(fs::exists(folder.path("device.json.partial")));
  process.signal(SIGINT);
  const auto result = process.finish();
  CHECK(result.code == 130);
  CHECK_FALSE(fs::exists(folder.path("device.json")));
  const auto again =
      folder.run({"profile", "-o", "device.json", "--budget", "14s"});
  CHECK(again.code == 2);
  CHECK(again.err ==
        "error: lathe profile: an interrupted profiling left "
        "device.json.partial\nhint: --resume goes on with it; remove the file "
        "to start anew\n");
  const Json partial =
      Json::parse(read_file(folder.path("device.json.partial")));
  const auto resumed = folder.run(
      {"profile", "-o", "device.json", "--budget", "14s", "--resume", "-q"});
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK_FALSE(fs::exists(folder.path("device.json.partial")));
  const Json profile = Json::parse(read_file(folder.path("device.json")));
  CHECK(profile["columns"][0]["networks"].get<size_t>() >
        partial["networks"].size());
}

TEST_CASE("profile --validate: measured beside estimated") {
  Profiled folder;
  const Json json = folder.json(
      {"profile", "--validate", "m.onnx", "--device", "device.json"});
  const Json& model = json["models"][0];
  CHECK(model["measured_latency_us"] > 0);
  CHECK(model["estimated_latency_us"]["p50"] > 0);
  CHECK(json["errors"]["networks"] == 1);
  CHECK(json["noise_floor"]["networks"] == 1);
}

TEST_CASE("estimate --explain: a hint for each thing to act on, or none") {
  Profiled folder;
  const Json json = folder.json({"estimate", "m.onnx", "--explain", "--device",
                                 "device.json", "--input-shape", "1x3x8x8"});
  CHECK(json["models"][0]["hints"].is_array());
  const auto text = folder.run(
      {"estimate", "m.onnx", "--per-node", "--device", "device.json"});
  CHECK(text.code == 0);
  CHECK(text.out.find("conv2d") != text.out.npos);
}

TEST_CASE("list devices: the embedded ones, and what they are worth") {
  Folder folder;
  const Json json = folder.json({"list", "devices"});
  REQUIRE(json["items"].size() >= 3);
  for (const Json& item : json["items"]) CHECK(item.contains("summary"));
}

}  // namespace
}  // namespace lathe
