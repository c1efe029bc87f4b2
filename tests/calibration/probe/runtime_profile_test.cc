#include "calibration/latency/probe/runtime_profile.h"

#include "tests/calibration/fixtures.h"

namespace lathe::latency {
namespace {

using test::error_of;

std::string node(const std::string& name, const std::string& op, int us,
                 const std::string& outputs) {
  return R"({"cat" : "Node","pid" :1,"tid" :1,"dur" :)" + std::to_string(us) +
         R"(,"ts" :3,"ph" : "X","name" :")" + name +
         R"(_kernel_time","args" : {"input_type_shape" : [{"float":[1,3]},)" +
         R"({"uint8":[]}],"output_type_shape" : )" + outputs +
         R"(,"op_name" : ")" + op + "\"}},\n";
}

const std::string kRun =
    R"({"cat" : "Session","dur" :9,"ts" :1,"name" :"model_run","args" : {}},)"
    "\n";

TEST_CASE("nodes of the first run, times of all") {
  std::string json = "[\n" +
                     std::string(R"({"cat" : "Session","dur" :7,"name" :)"
                                 R"("session_initialization","args" : {}},)"
                                 "\n") +
                     node("a", "Conv", 12, R"([{"float":[1,64,56,-1]}])") +
                     node("b", "Split", 0, R"([{"float":[2]},{"int8":[]}])") +
                     kRun + node("a", "Conv", 11, "[]") +
                     node("b", "Split", 3, "[]") + kRun + "]\n";
  RuntimeProfile profile = parse_profile(json, "net");
  REQUIRE(profile.nodes.size() == 2);
  CHECK(profile.nodes[0].name == "a");
  CHECK(profile.nodes[0].op_type == "Conv");
  CHECK(profile.nodes[0].shapes == "[1,64,56,-1]");
  CHECK(profile.nodes[0].inputs == 2);
  CHECK(profile.nodes[1].shapes == "[2][]");
  CHECK(profile.runs == std::vector<std::vector<int32_t>>{{12, 0}, {11, 3}});
}

TEST_CASE("a node's name may hold what looks like a key") {
  std::string json = node(R"(x\"dur\" :5)", "Add", 4, "[]") + kRun;
  RuntimeProfile profile = parse_profile(json, "net");
  REQUIRE(profile.nodes.size() == 1);
  CHECK(profile.nodes[0].name == R"(x\"dur\" :5)");
}

TEST_CASE("profiles that cannot be used") {
  std::string a = node("a", "Conv", 12, "[]"), b = node("b", "Add", 1, "[]");
  CHECK(error_of([&] { parse_profile("", "net"); }) ==
        "input: net: the runtime's profile holds no run");
  CHECK(error_of([&] { parse_profile(a, "net"); }) ==
        "input: net: the runtime's profile holds no run");
  const char* differs =
      "input: net: the runtime does not run the same nodes each time";
  CHECK(error_of([&] { parse_profile(a + b + kRun + a + kRun, "net"); }) ==
        differs);
  CHECK(error_of([&] { parse_profile(a + kRun + b + kRun, "net"); }) ==
        differs);
  CHECK(error_of([&] { parse_profile(a + kRun + a + b + kRun, "net"); }) ==
        differs);
  std::string timeless = a;
  timeless.replace(timeless.find("\"dur\""), 5, "\"rud\"");
  CHECK(error_of([&] { parse_profile(timeless, "net"); }) ==
        "input: net: the runtime's profile gives no duration for node 'a'");
}

TEST_CASE("cut anywhere, a profile is read or refused") {
  std::string json = node("a", "Conv", 12, R"([{"float":[1,64]}])") +
                     node("b", "Add", 1, R"([{"float":[1,64]}])") + kRun;
  for (size_t length = 0; length < json.size(); ++length) {
    std::string error = error_of(
        [&] { parse_profile(std::string_view(json).substr(0, length), "n"); });
    CHECK((error == "no error" || error.starts_with("input: n: ")));
  }
}

}  // namespace
}  // namespace lathe::latency
