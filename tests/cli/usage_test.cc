#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "passes/base/json.h"
#include "passes/base/text.h"
#include "tests/cli/process.h"

namespace lathe {
namespace {

using test::run_lathe;

// Exit code 2, nothing on stdout, and exactly this on stderr.
void check_usage_error(const std::vector<std::string>& args,
                       const std::string& message) {
  const auto result = run_lathe(args);
  CAPTURE(join(args, " "));
  CHECK(result.code == 2);
  CHECK(result.out == "");
  CHECK(result.err == message);
}

std::vector<std::string> commands() {
  const auto result = run_lathe({"list", "commands", "--json"});
  REQUIRE(result.code == 0);
  const Json json = Json::parse(result.out);
  std::vector<std::string> names;
  for (const Json& item : json.at("items")) names.push_back(item.at("name"));
  return names;
}

TEST_CASE("without a command the usage goes to stderr") {
  const auto result = run_lathe({});
  CHECK(result.code == 2);
  CHECK(result.out == "");
  CHECK(result.err.find("Usage: lathe COMMAND [options]\n") !=
        std::string::npos);
  const auto help = run_lathe({"help"});
  CHECK(help.code == 0);
  CHECK(help.out == result.err);
  CHECK(help.err == "");
}

TEST_CASE("the version names the runtime") {
  const auto result = run_lathe({"--version"});
  CHECK(result.code == 0);
  CHECK(result.err == "");
  CHECK(result.out.starts_with("lathe 0.1.0 (ONNX Runtime "));
}

TEST_CASE("an unknown command offers the nearest one") {
  check_usage_error({"quantise", "m.onnx"},
                    "error: lathe: unknown command 'quantise'; did you mean "
                    "'quantize'?\n"
                    "hint: 'lathe help' lists the commands\n");
  check_usage_error({"frobnicate"},
                    "error: lathe: unknown command 'frobnicate'\n"
                    "hint: 'lathe help' lists the commands\n");
  check_usage_error({"help", "benhc"},
                    "error: lathe: unknown command 'benhc'; did you mean "
                    "'bench'?\n"
                    "hint: 'lathe help' lists the commands\n");
  check_usage_error({"--jsno", "list"},
                    "error: lathe: unknown option '--jsno' in the place of a "
                    "command\n"
                    "hint: a command's options come after its name\n");
}

TEST_CASE("wrong flags say what was found and expected") {
  check_usage_error({"list", "passes", "--jsn"},
                    "error: lathe list: unknown option '--jsn'; did you mean "
                    "'--json'?\n"
                    "hint: see 'lathe help list'\n");
  check_usage_error({"bench"},
                    "error: lathe bench: MODEL is required\n"
                    "hint: see 'lathe help bench'\n");
  check_usage_error({"quantize", "m.onnx", "-o", "q.onnx"},
                    "error: lathe quantize: --data is required\n"
                    "hint: see 'lathe help quantize'\n");
  check_usage_error(
      {"quantize", "m.onnx", "--scheme", "fp16", "--per-tensor", "-o", "q"},
      "error: --per-tensor: --scheme fp16 has no such option\n"
      "hint: see 'lathe list passes' for what float16 takes\n");
  check_usage_error({"quantize", "m.onnx", "--data", "synthetic"},
                    "error: lathe quantize: --output is required\n"
                    "hint: see 'lathe help quantize'\n");
  check_usage_error({"inspect", "a.onnx", "b.onnx"},
                    "error: lathe inspect: unexpected argument 'b.onnx'\n"
                    "hint: see 'lathe help inspect'\n");
  check_usage_error({"bench", "m.onnx", "--threads", "0"},
                    "error: --threads: found '0', expected a whole number "
                    "from 1 to 1024\n");
  check_usage_error({"bench", "m.onnx", "--runs", "many"},
                    "error: --runs: found 'many', expected a whole number "
                    "from 1 to 10000000\n");
  check_usage_error({"list", "passes", "--color", "alwys"},
                    "error: --color: found 'alwys', expected one of auto, "
                    "always, never; did you mean 'always'?\n");
  check_usage_error({"bench", "m.onnx", "--input-shape", "x:1xA"},
                    "error: --input-shape: found 'x:1xA', expected a shape "
                    "like 1x3x224x224 or name:1x3x224x224\n");
  check_usage_error(
      {"bench", "m.onnx", "--input-shape", "x:1", "--input-shape", "x:2"},
      "error: --input-shape: input 'x' is given twice\n");
  check_usage_error({"list", "pases"},
                    "error: lathe list: unknown kind 'pases'; did you mean "
                    "'passes'?\n"
                    "hint: the kinds are passes, recipes, gates, devices, "
                    "formats, models, aten, observers, saliencies, losses, "
                    "operators, commands, "
                    "kinds\n");
}

TEST_CASE("with --json an error is one line of JSON") {
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"inspect", "absent.onnx", "--json"},
           {"bench", "absent.onnx", "--json"}}) {
    const auto result = run_lathe(args);
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK(result.err ==
          "{\"error\":{\"kind\":\"input\",\"where\":\"absent.onnx\","
          "\"what\":\"no such file\",\"hint\":\"check the path\"}}\n");
  }
  const auto unknown = run_lathe({"benhc", "--json"});
  CHECK(unknown.code == 2);
  CHECK(unknown.err ==
        "{\"error\":{\"kind\":\"usage\",\"where\":\"lathe\",\"what\":\"unknown "
        "command 'benhc'; did you mean 'bench'?\",\"hint\":\"'lathe help' "
        "lists the commands\"}}\n");
}

TEST_CASE("every command has help with two examples and the shared flags") {
  const auto names = commands();
  CHECK(names.size() >= 10);
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto result = run_lathe({name, "--help"});
    CHECK(result.code == 0);
    CHECK(result.err == "");
    const auto lines = split(result.out, '\n');
    CHECK(lines.at(0).starts_with("lathe " + name + ": "));
    CHECK(lines.at(2).starts_with("Usage: lathe " + name + " "));
    int examples = 0;
    for (const std::string& line : lines)
      if (line == "  lathe " + name ||
          line.starts_with("  lathe " + name + " "))
        ++examples;
    CHECK(examples >= 2);
    for (const char* flag :
         {"--json", "-q, --quiet", "-v, --verbose", "--color", "--threads N",
          "--jobs N", "--seed N", "--input-shape", "--samples N"})
      CHECK_MESSAGE(
          result.out.find(std::string("  ") + flag) != std::string::npos, flag);
    CHECK(result.out.find("(default: 1)") != std::string::npos);
    for (const std::string& line : lines) {
      // Examples are for copying and stay whole.
      if (line.starts_with("  lathe ")) continue;
      CHECK_MESSAGE(line.size() <= 100, line);
    }
  }
}

TEST_CASE("help and --help are the same") {
  const auto result = run_lathe({"help", "run"});
  CHECK(result.code == 0);
  CHECK(result.out == run_lathe({"run", "--help"}).out);
}

TEST_CASE("colour is used when it is asked for") {
  const auto always = run_lathe({"inspect", "absent.onnx", "--color=always"});
  CHECK(always.err ==
        "\x1b[31merror: \x1b[0mabsent.onnx: no such file\n"
        "\x1b[36mhint: \x1b[0mcheck the path\n");
  for (const char* choice : {"auto", "never"})
    CHECK(run_lathe({"inspect", "absent.onnx", "--color", choice}).err ==
          "error: absent.onnx: no such file\nhint: check the path\n");
}

TEST_CASE("lists come from the tables") {
  const auto passes = run_lathe({"list", "passes"});
  CHECK(passes.code == 0);
  CHECK(passes.out.find("quantize_static") != std::string::npos);
  for (const char* kind :
       {"recipes", "gates", "devices", "formats", "models", "aten", "observers",
        "saliencies", "operators", "commands", "kinds"}) {
    const auto result = run_lathe({"list", kind, "--json"});
    CAPTURE(kind);
    REQUIRE(result.code == 0);
    const Json json = Json::parse(result.out);
    CHECK(json.at("schema_version") == 1);
    CHECK(json.at("kind") == kind);
    CHECK(json.at("items").size() >= 1);
  }
}

}  // namespace
}  // namespace lathe
