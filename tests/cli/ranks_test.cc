// Commands that several processes run together.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "passes/base/file.h"
#include "tests/cli/model_folder.h"
#include "tests/support/free_port.h"

namespace lathe {
namespace {

using test::ModelFolder;
using test::Process;
using test::ProcessResult;

// As two ranks.
std::vector<ProcessResult> run_ranks(const ModelFolder& folder,
                                     const std::vector<std::string>& args) {
  const std::string port = std::to_string(test::free_port());
  std::vector<std::unique_ptr<Process>> processes;
  for (const char* rank : {"0", "1"})
    processes.push_back(std::make_unique<Process>(
        args, test::ProcessOptions{
                  .folder = folder.folder.path(),
                  .environment = {std::string("RANK=") + rank, "WORLD_SIZE=2",
                                  "MASTER_PORT=" + port}}));
  std::vector<ProcessResult> results;
  for (const auto& process : processes) results.push_back(process->finish());
  return results;
}

// Whether this build can.
bool skipped(const std::vector<ProcessResult>& results) {
  if (results[0].err.find("this build has no process groups") ==
      std::string::npos)
    return false;
  MESSAGE("skipped: this build has no process groups");
  return true;
}

TEST_CASE("eval on two ranks has the figures of one") {
  const ModelFolder folder;
  const std::vector<std::string> args = {"eval",      "m.onnx",    "--data",
                                         "synthetic", "--against", "m.onnx",
                                         "--samples", "5",         "-q"};
  const auto alone = folder.run(args);
  REQUIRE(alone.code == 0);
  const auto ranks = run_ranks(folder, args);
  if (skipped(ranks)) return;
  CHECK(ranks[0].code == 0);
  CHECK(ranks[0].out == alone.out);
  CHECK(ranks[1].code == 0);
  CHECK(ranks[1].out == "");
}

TEST_CASE("quantize on two ranks writes the model of one, once") {
  const ModelFolder folder;
  const auto args = [](const char* file) {
    return std::vector<std::string>{
        "quantize", "m.onnx",      "--data", "synthetic", "--samples", "6",
        "-q",       "--placement", "all",    "-o",        file};
  };
  REQUIRE(folder.run(args("one.onnx")).code == 0);
  const auto ranks = run_ranks(folder, args("two.onnx"));
  if (skipped(ranks)) return;
  CAPTURE(ranks[0].err);
  CAPTURE(ranks[1].err);
  CHECK(ranks[0].code == 0);
  CHECK(ranks[1].code == 0);
  CHECK(ranks[1].out == "");
  CHECK(read_file(folder.path("one.onnx")) ==
        read_file(folder.path("two.onnx")));
}

TEST_CASE("a launcher's variable that is no number") {
  const ModelFolder folder;
  const auto result =
      test::run_lathe({"eval", "m.onnx", "--data", "synthetic"},
                      {.folder = folder.folder.path(),
                       .environment = {"RANK=one", "WORLD_SIZE=2"}});
  CHECK(result.code == 2);
  CHECK(result.err ==
        "error: environment variable RANK: it is 'one', expected a number of 0 "
        "to 1\n");
}

}  // namespace
}  // namespace lathe
