#include "calibration/latency/session.h"

#include <atomic>
#include <fstream>
#include <limits>
#include <thread>

#include "calibration/latency/runtime.h"
#include "calibration/latency/temporary_model.h"
#include "passes/io/onnx/onnx.h"
#include "tests/calibration/fixtures.h"
#include "tests/support/shared.h"

namespace lathe::latency {
namespace {

using test::error_of;
using test::model_of;

const char* const kScale = R"(graph main {
  input %x: float[N,3]
  init %two = float[] {2}
  %y: float[N,3] = Mul(%x, %two)
  %z: float[N,3] = Neg(%y)
  output %y
  output %z
})";

NamedTensors input_x(std::vector<int64_t> dims, std::vector<float> values) {
  NamedTensors inputs;
  inputs.emplace_back("x", ir::Tensor::from<float>(std::move(dims), values));
  return inputs;
}

std::vector<float> floats(const ir::Tensor& tensor) {
  return tensor.to_floats();
}

TEST_CASE("a model in memory runs") {
  auto session = Session::open(model_of(kScale));
  REQUIRE(session->inputs().size() == 1);
  CHECK(session->inputs()[0].name == "x");
  CHECK(ir::to_string(session->inputs()[0].type) == "float[N,3]");
  REQUIRE(session->outputs().size() == 2);
  CHECK(session->outputs()[1].name == "z");
  auto outputs = session->run(input_x({2, 3}, {1, 2, 3, 4, 5, 6}));
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[0].dims() == std::vector<int64_t>{2, 3});
  CHECK(floats(outputs[0]) == std::vector<float>{2, 4, 6, 8, 10, 12});
  CHECK(floats(outputs[1]) == std::vector<float>{-2, -4, -6, -8, -10, -12});
}

TEST_CASE("some outputs, in the order asked for, copied or as views") {
  auto session = Session::open(model_of(kScale));
  NamedTensors inputs = input_x({1, 3}, {1, 2, 3});
  auto outputs = session->run(inputs, std::vector<std::string>{"z"});
  REQUIRE(outputs.size() == 1);
  CHECK(floats(outputs[0]) == std::vector<float>{-2, -4, -6});
  std::vector<std::vector<float>> seen(2);
  session->run(inputs, {"z", "y"}, [&](size_t i, const ir::Tensor& view) {
    seen[i] = floats(view);
  });
  CHECK(seen[0] == std::vector<float>{-2, -4, -6});
  CHECK(seen[1] == std::vector<float>{2, 4, 6});
  CHECK(error_of([&] {
          session->run(inputs, std::vector<std::string>{"zz"});
        }) == "input: model: the model has no output 'zz'");
}

TEST_CASE("outputs outlive their session") {
  auto session = Session::open(model_of(R"(graph main {
    input %x: float[2]
    init %c = float[2] {7, 8}
    %y = Add(%x, %c)
    output %x
    output %c
    output %y
  })"));
  std::vector<ir::Tensor> outputs;
  {
    NamedTensors inputs = input_x({2}, {1, 2});
    outputs = session->run(inputs);
    session.reset();
  }
  CHECK(floats(outputs[0]) == std::vector<float>{1, 2});
  CHECK(floats(outputs[1]) == std::vector<float>{7, 8});
  CHECK(floats(outputs[2]) == std::vector<float>{8, 10});
}

TEST_CASE("wrong inputs are named") {
  auto session = Session::open(model_of(kScale), {}, "scale.onnx");
  CHECK(error_of([&] { session->run({}); }) ==
        "input: scale.onnx: input 'x' (float[N,3]) is missing");
  CHECK(error_of([&] {
          session->run(input_x({2}, {1, 2}));
        }) ==
        "input: scale.onnx: input 'x' is float[2], the model expects "
        "float[N,3]");
  CHECK(error_of([&] {
          session->run(input_x({1, 2}, {1, 2}));
        }) ==
        "input: scale.onnx: input 'x' is float[1,2], the model expects "
        "float[N,3]");
  NamedTensors integers;
  integers.emplace_back("x", ir::Tensor::vector_i64({1, 2, 3}));
  CHECK(error_of([&] { session->run(integers); }) ==
        "input: scale.onnx: input 'x' is int64[3], the model expects "
        "float[N,3]");
  NamedTensors both = input_x({1, 3}, {1, 2, 3});
  both.push_back(both[0]);
  CHECK(error_of([&] { session->run(both); }) ==
        "input: scale.onnx: input 'x' is given twice");
  both[1].first = "other";
  CHECK(error_of([&] { session->run(both); }) ==
        "input: scale.onnx: the model has no input 'other'");
}

TEST_CASE("what the runtime refuses is said in one clear line") {
  // The second half is the runtime's own and differs between its versions.
  std::string message = error_of([] {
    Session::open(model_of(R"(graph main {
      input %x: float[2]
      %y: float[2] = Frobnicate(%x) @frob
      output %y
    })"),
                  {}, "frob.onnx");
  });
  CHECK(message.starts_with(
      "input: frob.onnx: the runtime refuses this model: "));
  CHECK(message.find("Frobnicate") != std::string::npos);
  CHECK(error_of([] { Session::open("no/such.onnx"); }) ==
        "input: no/such.onnx: there is no such file");
  test::TempDir folder;
  std::filesystem::path path = folder.path() / "broken.onnx";
  std::ofstream(path) << "this is no model";
  CHECK(error_of([&] { Session::open(path); }) ==
        "input: " + path.string() +
            ": the runtime refuses this model: Protobuf parsing failed");
}

TEST_CASE("a run that fails says so") {
  auto session = Session::open(model_of(R"(graph main {
    input %x: float[N]
    init %shape = int64[2] {2, 3}
    %y: float[2,3] = Reshape(%x, %shape) @reshape
    output %y
  })"));
  std::string message = error_of([&] {
    session->run(input_x({5}, {1, 2, 3, 4, 5}));
  });
  CHECK(message.starts_with(
      "input: model: the runtime fails to run this model: Non-zero status code "
      "returned while running Reshape node. Name:'reshape'"));
  CHECK(message.find(".cc:") == std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("messages lose what only the runtime's developers can use") {
  using runtime::clean_message;
  CHECK(
      clean_message("Load model from a.onnx failed:Protobuf parsing failed.") ==
      "Protobuf parsing failed");
  CHECK(clean_message("Load model from a.onnx failed:/src/core/graph/model.cc:"
                      "149 onnxruntime::Model::Model(ModelProto&&, const "
                      "Path&) Unsupported model IR version: 99, max supported "
                      "IR version: 11\n") ==
        "Unsupported model IR version: 99, max supported IR version: 11");
  CHECK(clean_message("Status Message: /s/x.h:75 bool onnxruntime::f(const "
                      "std::vector<int>&) const a was false. Wrong size: (3)\n"
                      "more") ==
        "Status Message: a was false. Wrong size: (3)");
  CHECK(clean_message("model.cc is a file: 12 (twelve)") ==
        "model.cc is a file: 12 (twelve)");
  CHECK(clean_message("") == "it gives no reason");
}

TEST_CASE("element types go in and out as they are") {
  struct Case {
    const char* type;
    std::vector<double> values;
  };
  for (const Case& test : std::vector<Case>{{"float", {1.5, -2}},
                                            {"double", {1.5, -2}},
                                            {"float16", {1.5, -2}},
                                            {"bfloat16", {1.5, -2}},
                                            {"int8", {-128, 127}},
                                            {"uint8", {0, 255}},
                                            {"int16", {-32768, 32767}},
                                            {"uint16", {0, 65535}},
                                            {"int32", {-5, 1 << 30}},
                                            {"uint32", {0, 4294967295.0}},
                                            {"int64", {-5, 1e15}},
                                            {"uint64", {0, 1e15}},
                                            {"bool", {0, 1}}}) {
    CAPTURE(test.type);
    auto session = Session::open(model_of(
        "graph main {\n input %x: " + std::string(test.type) +
        "[2]\n %y: " + test.type + "[2] = Identity(%x)\n output %y\n}"));
    NamedTensors inputs;
    inputs.emplace_back(
        "x", ir::Tensor::from_doubles(*ir::data_type_from_string(test.type),
                                      {2}, test.values));
    auto outputs = session->run(inputs);
    CHECK(outputs[0].identical(inputs[0].second));
    auto bound = session->bind(inputs);
    bound->run();
  }
}

TEST_CASE("strings and empty tensors") {
  auto session = Session::open(model_of(R"(graph main {
    input %x: string[N]
    input %e: float[M,3]
    %y: string[N] = Identity(%x)
    %f: float[M,3] = Neg(%e)
    output %y
    output %f
  })"));
  NamedTensors inputs;
  inputs.emplace_back("x",
                      ir::Tensor({2}, std::vector<std::string>{"hello", ""}));
  inputs.emplace_back("e",
                      ir::Tensor::from<float>({0, 3}, std::vector<float>{}));
  auto outputs = session->run(inputs);
  CHECK(outputs[0].strings() == std::vector<std::string>{"hello", ""});
  CHECK(outputs[1].dims() == std::vector<int64_t>{0, 3});
  session->bind(inputs)->run();
}

TEST_CASE("an output that is no tensor") {
  auto session = Session::open(model_of(R"(graph main {
    input %x: float[2]
    %s: opaque("\"\x06\x0a\x04\x0a\x02\x08\x01") = SequenceConstruct(%x, %x)
    output %s
  })"));
  CHECK_FALSE(session->outputs()[0].type.is_tensor());
  NamedTensors inputs = input_x({2}, {1, 2});
  CHECK(error_of([&] { session->run(inputs); }) ==
        "unsupported: model: output 's': is not a tensor (only tensors can be "
        "read)");
  session->bind(inputs)->run();
}

TEST_CASE("initializers on the input list need not be given and can be") {
  auto session = Session::open(model_of(R"(graph main {
    input %x: float[2]
    input %w: float[2] = float[2] {1, 2}
    %y: float[2] = Add(%x, %w)
    output %y
  })"));
  CHECK(session->inputs().size() == 1);
  NamedTensors inputs = input_x({2}, {0, 0});
  CHECK(floats(session->run(inputs)[0]) == std::vector<float>{1, 2});
  inputs.emplace_back("w",
                      ir::Tensor::from<float>({2}, std::vector<float>{5, 6}));
  CHECK(floats(session->run(inputs)[0]) == std::vector<float>{5, 6});
}

TEST_CASE("one session serves many threads") {
  auto session = Session::open(model_of(kScale));
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        float value = static_cast<float>(t * 100 + i);
        auto outputs = session->run(input_x({1, 3}, {value, value, value}));
        if (floats(outputs[1])[2] != -2 * value) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("the optimized model and a profile are written") {
  test::TempDir folder;
  SessionOptions options;
  options.optimized_model = folder.path() / "optimized.onnx";
  options.profile_prefix = folder.path() / "profile";
  auto session = Session::open(model_of(kScale), options);
  session->run(input_x({1, 3}, {1, 2, 3}));
  std::filesystem::path profile = session->end_profiling();
  CHECK(std::filesystem::file_size(profile) > 0);
  CHECK(profile.parent_path() == folder.path());
  auto again = Session::open(options.optimized_model);
  CHECK(floats(again->run(input_x({1, 3}, {1, 2, 3}))[0]) ==
        std::vector<float>{2, 4, 6});
}

TEST_CASE("large weights outlive the model that they come from") {
  constexpr int64_t kRows = 2048;
  std::unique_ptr<Session> session;
  {
    ir::Model model = model_of(R"(graph main {
      input %x: float[1,2048]
      init %w = float[] {0}
      init %unused = float[] {0}
      %y: float[1,1] = MatMul(%x, %w)
      output %y
    })");
    const std::vector<float> ones(kRows, 1);
    for (const char* name : {"w", "unused"})
      model.graph->find(name)->set_tensor(
          ir::Tensor::from<float>({kRows, 1}, ones));
    session = Session::open(model);
  }
  const std::vector<float> halves(kRows, 0.5f);
  CHECK(floats(session->run(input_x({1, kRows}, halves))[0]) ==
        std::vector<float>{kRows / 2});
}

TEST_CASE("a model too large for memory goes through a folder of its own") {
  std::filesystem::path path;
  {
    TemporaryModel file(model_of(kScale));
    path = file.path();
    auto session = Session::open(path);
    CHECK(floats(session->run(input_x({1, 3}, {1, 2, 3}))[0]) ==
          std::vector<float>{2, 4, 6});
    CHECK(std::filesystem::exists(path));
  }
  CHECK_FALSE(std::filesystem::exists(path.parent_path()));
}

TEST_CASE("tensors take the floating-point type that the session asks for") {
  const auto session = Session::open(model_of(R"(graph main {
    input %x: float16[N,3]
    input %i: int64[1]
    %y: float16[N,3] = Neg(%x)
    %j: int64[1] = Neg(%i)
    output %y
    output %j
  })"));
  NamedTensors given = input_x({1, 3}, {1, 0.1f, 1e6f});
  given.emplace_back("i", ir::Tensor::vector_i64({7}));
  const NamedTensors fitted = fit_types(*session, given);
  CHECK(fitted[0].second.type() == ir::DataType::kFloat16);
  CHECK(fitted[1].second.identical(given[1].second));
  const auto outputs = session->run(fitted);
  CHECK(floats(outputs[0]) ==
        std::vector<float>{-1, -0.0999755859375f,
                           -std::numeric_limits<float>::infinity()});
  // What is no number of the same kind stays, for run() to refuse.
  given[0].second = ir::Tensor::from<int64_t>({1, 3}, std::vector<int64_t>(3));
  CHECK(fit_types(*session, given)[0].second.type() == ir::DataType::kInt64);
}

TEST_CASE("an executor prepares sessions") {
  auto executor = make_runtime_executor(2);
  auto executable = executor->prepare(model_of(kScale));
  CHECK(floats(executable->run(input_x({1, 3}, {1, 2, 3}))[0]) ==
        std::vector<float>{2, 4, 6});
}

TEST_CASE("ResNet-20 gives its recorded outputs, from file and from memory") {
  std::filesystem::path model =
      test::shared_file("models/cifar10_resnet20/model.onnx");
  if (model.empty()) return;
  std::filesystem::path folder = model.parent_path() / "test_data_set_0";
  NamedTensors inputs;
  inputs.emplace_back("input", io::read_tensor_file(folder / "input_0.pb"));
  ir::Tensor expected = io::read_tensor_file(folder / "output_0.pb");
  for (auto& session :
       {Session::open(model), Session::open(io::import_onnx(model))}) {
    ir::Tensor logits = session->run(inputs)[0];
    REQUIRE(logits.dims() == expected.dims());
    for (int64_t i = 0; i < logits.size(); ++i)
      CHECK(logits.data<float>()[static_cast<size_t>(i)] ==
            doctest::Approx(expected.data<float>()[static_cast<size_t>(i)])
                .epsilon(1e-3));
  }
}

}  // namespace
}  // namespace lathe::latency
