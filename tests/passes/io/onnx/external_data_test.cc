// Weights beside the model: where they may lie, and models above the limit.
#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>
#include <sys/resource.h>

#include <bit>
#include <cstdlib>
#include <iostream>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "tests/passes/io/onnx/model_builder.h"
#include "tests/support/shared.h"

namespace lathe::test {
namespace {

namespace fs = std::filesystem;

void set_external(onnx::TensorProto& tensor, const std::string& location,
                  const std::string& offset = "",
                  const std::string& length = "") {
  tensor.clear_float_data();
  tensor.clear_external_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  auto add = [&](const char* key, const std::string& value) {
    if (value.empty()) return;
    auto& entry = *tensor.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  };
  add("location", location);
  add("offset", offset);
  add("length", length);
  add("checksum", "0123");
}

// small_model() whose w (16 bytes) lies elsewhere, in folder/model.
struct ExternalModel {
  ExternalModel() {
    fs::create_directory(folder());
    write_file_atomic(folder() / "w.bin", data());
    write_file_atomic(temp.path() / "outside.bin", data());
  }
  // 4 bytes, then the floats 1 2 3 4.
  static std::string data() {
    std::string bytes = "head";
    for (float value : {1.f, 2.f, 3.f, 4.f}) {
      auto bits = std::bit_cast<uint32_t>(value);
      bytes.append(reinterpret_cast<const char*>(&bits), 4);
    }
    return bytes;
  }
  fs::path folder() const { return temp.path() / "model"; }
  fs::path path() const { return folder() / "m.onnx"; }
  void write(const std::string& location, const std::string& offset = "4",
             const std::string& length = "16") {
    onnx::ModelProto model = small_model();
    set_external(*model.mutable_graph()->mutable_initializer(0), location,
                 offset, length);
    write_file_atomic(path(), model.SerializeAsString());
  }
  // The error without the file's path, which changes from run to run.
  std::string error() const {
    try {
      io::import_onnx(path());
    } catch (const Error& error) {
      CHECK(error.where().starts_with(path().string()));
      return std::string(to_string(error.kind())) +
             error.where().substr(path().string().size()) + ": " +
             error.message() + " (" + error.hint() + ")";
    }
    return "no error";
  }

  TempDir temp;
};

TEST_CASE("external data is mapped, not copied") {
  ExternalModel model;
  model.write("w.bin");
  ir::Model imported = io::import_onnx(model.path());
  CHECK(imported.graph->find("w")->tensor().to_floats() ==
        std::vector<float>{1, 2, 3, 4});
  // Inline again on export, and the same model.
  onnx::ModelProto exported;
  CHECK(exported.ParseFromString(io::export_onnx_bytes(imported)));
  CHECK(differences(small_model(), exported) == "");
}

TEST_CASE("length and offset may be left out") {
  ExternalModel model;
  model.write("w.bin", "4", "");
  CHECK(io::import_onnx(model.path()).graph->find("w")->tensor().to_floats() ==
        std::vector<float>{1, 2, 3, 4});
  model.write("./../model/w.bin", "", "16");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in './../model/w.bin', which "
        "is outside the model's folder (external data must stay in the "
        "model's folder or below it)");
  model.write("sub/../w.bin", "", "16");
  CHECK(io::import_onnx(model.path()).graph->find("w")->tensor().size() == 4);
}

TEST_CASE("external data stays in the model's folder") {
  ExternalModel model;
  const std::string hint =
      " (external data must stay in the model's folder or below it)";
  model.write("../outside.bin");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in '../outside.bin', which is "
        "outside the model's folder" +
            hint);
  model.write("sub/../../outside.bin");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in 'sub/../../outside.bin', "
        "which is outside the model's folder" +
            hint);
  std::string absolute = (model.temp.path() / "outside.bin").string();
  model.write(absolute);
  CHECK(model.error() == "input: initializer 'w' keeps its data in '" +
                             absolute + "', which is an absolute path" + hint);
  fs::create_symlink(model.temp.path() / "outside.bin",
                     model.folder() / "link.bin");
  model.write("link.bin");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in 'link.bin', which a link "
        "takes outside the model's folder" +
            hint);
  fs::create_directory_symlink(model.temp.path(), model.folder() / "up");
  model.write("up/outside.bin");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in 'up/outside.bin', which a "
        "link takes outside the model's folder" +
            hint);
  fs::create_symlink("w.bin", model.folder() / "inside.bin");
  model.write("inside.bin");
  CHECK(model.error() == "no error");
  // A folder whose name begins like the model's is another folder.
  fs::create_directory(model.temp.path() / "model2");
  write_file_atomic(model.temp.path() / "model2" / "w.bin",
                    ExternalModel::data());
  fs::create_directory_symlink(model.temp.path() / "model2",
                               model.folder() / "twin");
  model.write("twin/w.bin");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in 'twin/w.bin', which a link "
        "takes outside the model's folder" +
            hint);
}

TEST_CASE("the model may be named without a folder") {
  ExternalModel model;
  model.write("w.bin");
  fs::path before = fs::current_path();
  fs::current_path(model.folder());
  ir::Model imported = io::import_onnx("m.onnx");
  fs::current_path(before);
  CHECK(imported.graph->find("w")->tensor().size() == 4);
}

TEST_CASE("data files that are missing, too short, or no files") {
  ExternalModel model;
  model.write("none.bin");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in 'none.bin', which does not "
        "exist (copy the data file along with the model)");
  fs::create_directory(model.folder() / "sub");
  model.write("sub");
  CHECK(model.error() ==
        "input: initializer 'w' keeps its data in 'sub', which is not a "
        "regular file ()");
  model.write("");
  CHECK(model.error() ==
        "input: initializer 'w' names no file for its external data ()");
  const std::string hint =
      " (the data file is cut short or belongs to another model)";
  model.write("w.bin", "5", "16");
  CHECK(model.error() ==
        "input: initializer 'w' needs 16 bytes from offset 5 of 'w.bin', "
        "which has 20" +
            hint);
  model.write("w.bin", "18446744073709551615", "16");
  CHECK(model.error() ==
        "input: initializer 'w' needs 16 bytes from offset "
        "18446744073709551615 of 'w.bin', which has 20" +
            hint);
  model.write("w.bin", "8", "");
  CHECK(model.error() ==
        "input: initializer 'w' needs 16 bytes from offset 8 of 'w.bin', "
        "which has 20" +
            hint);
  model.write("w.bin", "0", "20");
  CHECK(model.error() ==
        "input: initializer 'w': holds 20 bytes, but shape [2,2] of type "
        "float needs 16 ()");
}

TEST_CASE("offsets and lengths that are no numbers") {
  ExternalModel model;
  const std::string rest =
      "' for its external data, expected a number of bytes from 0 ()";
  model.write("w.bin", "-4");
  CHECK(model.error() == "input: initializer 'w' has the offset '-4" + rest);
  model.write("w.bin", "four");
  CHECK(model.error() == "input: initializer 'w' has the offset 'four" + rest);
  model.write("w.bin", "4", "16 bytes");
  CHECK(model.error() ==
        "input: initializer 'w' has the length '16 bytes" + rest);
  model.write("w.bin", "99999999999999999999");
  CHECK(model.error() ==
        "input: initializer 'w' has the offset '99999999999999999999" + rest);
}

TEST_CASE("a model from memory has no folder for external data") {
  onnx::ModelProto model = small_model();
  set_external(*model.mutable_graph()->mutable_initializer(0), "w.bin");
  CHECK(import_error(model) ==
        "input: m.onnx: initializer 'w' keeps its data in 'w.bin', which "
        "cannot be found: the model has no folder (read the model from its "
        "file)");
}

TEST_CASE("external data where Lathe only carries bytes along") {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& algorithm = *model.add_training_info()->mutable_algorithm();
  set_external(add_floats(algorithm, "t", {1}, {1}), "w.bin");
  CHECK(import_error(model) ==
        "unsupported: m.onnx: the training information has external data in a "
        "place that Lathe only carries along (save the model with all its "
        "data in one file)");
}

// Two weights of 8 KiB, a shared one, a small one, and a constant attribute.
onnx::ModelProto model_with_weights() {
  onnx::ModelProto model = small_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  std::vector<float> values(2048);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  add_floats(graph, "first", {2048}, values);
  std::reverse(values.begin(), values.end());
  add_floats(graph, "second", {2, 1024}, values);
  auto& attribute =
      *add_node(graph, "Constant", {}, {"constant"}).add_attribute();
  attribute.set_name("value");
  attribute.set_type(onnx::AttributeProto::TENSOR);
  onnx::TensorProto& tensor = *attribute.mutable_t();
  tensor.set_data_type(onnx::TensorProto::UINT8);
  tensor.add_dims(3000);
  tensor.set_raw_data(std::string(3000, 'c'));
  return model;
}

std::string location_of(const onnx::TensorProto& tensor) {
  std::string text;
  for (const auto& entry : tensor.external_data())
    text += entry.key() + "=" + entry.value() + " ";
  return text;
}

TEST_CASE("a model above the limit goes out in two files") {
  TempDir folder;
  auto path = folder.path() / "out.onnx";
  onnx::ModelProto model = model_with_weights();
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  io::export_onnx(imported, path, {.max_file_bytes = 8000});
  onnx::ModelProto written;
  CHECK(written.ParseFromString(read_file(path)));
  const auto& graph = written.graph();
  CHECK(graph.initializer(0).raw_data().size() == 16);  // w stays inside
  CHECK(location_of(graph.initializer(1)) ==
        "location=out.onnx.data offset=0 length=8192 ");
  CHECK(location_of(graph.initializer(2)) ==
        "location=out.onnx.data offset=8192 length=8192 ");
  CHECK(graph.node(2).attribute(0).t().raw_data().size() == 3000);
  CHECK(fs::file_size(folder.path() / "out.onnx.data") == 16384);

  ir::Model again = io::import_onnx(path);
  onnx::ModelProto inline_again;
  CHECK(inline_again.ParseFromString(io::export_onnx_bytes(again)));
  CHECK(differences(model, inline_again) == "");

  // Below the limit everything is inline, wherever it came from.
  auto small = folder.path() / "small.onnx";
  io::export_onnx(again, small);
  CHECK(read_file(small) == io::export_onnx_bytes(imported));
  CHECK(!fs::exists(folder.path() / "small.onnx.data"));

  // Over its own files: the mapped data must survive the replacement.
  io::export_onnx(again, path, {.max_file_bytes = 8000});
  CHECK(io::export_onnx_bytes(io::import_onnx(path)) == read_file(small));
}

TEST_CASE("attributes move out only when they must") {
  TempDir folder;
  auto path = folder.path() / "out.onnx";
  ir::Model imported =
      io::import_onnx_bytes(model_with_weights().SerializeAsString(), "m.onnx");
  io::export_onnx(imported, path, {.max_file_bytes = 2500});
  onnx::ModelProto written;
  CHECK(written.ParseFromString(read_file(path)));
  CHECK(location_of(written.graph().node(2).attribute(0).t()) ==
        "location=out.onnx.data offset=0 length=3000 ");
  CHECK(location_of(written.graph().initializer(1)) ==
        "location=out.onnx.data offset=4096 length=8192 ");
  CHECK(io::export_onnx_bytes(io::import_onnx(path)) ==
        io::export_onnx_bytes(imported));
}

TEST_CASE("shared weights are written once") {
  TempDir folder;
  auto path = folder.path() / "out.onnx";
  ir::Model imported =
      io::import_onnx_bytes(model_with_weights().SerializeAsString(), "m.onnx");
  ir::Graph& graph = *imported.graph;
  graph.find("second")->set_tensor(
      graph.find("first")->tensor().reshaped({2, 1024}));
  io::export_onnx(imported, path, {.max_file_bytes = 8000});
  CHECK(fs::file_size(folder.path() / "out.onnx.data") == 8192);
  CHECK(io::export_onnx_bytes(io::import_onnx(path)) ==
        io::export_onnx_bytes(imported));
}

TEST_CASE("a model without large tensors has no second file") {
  TempDir folder;
  auto path = folder.path() / "out.onnx";
  ir::Model imported =
      io::import_onnx_bytes(small_model().SerializeAsString(), "m.onnx");
  io::export_onnx(imported, path, {.max_file_bytes = 1});
  CHECK(fs::exists(path));
  CHECK(!fs::exists(folder.path() / "out.onnx.data"));
}

TEST_CASE("overlapping unaligned tensors cannot ask for any amount") {
  ExternalModel model;
  onnx::ModelProto proto = small_model();
  for (int i = 0; i < 10; ++i)
    set_external(
        add_floats(*proto.mutable_graph(), "n" + std::to_string(i), {4}, {}),
        "w.bin", "3", "16");
  write_file_atomic(model.path(), proto.SerializeAsString());
  CHECK(model.error() ==
        "unsupported: tensors that overlap in 'w.bin' at offsets that are no "
        "multiple of 8 take more memory than Lathe allows (save the model "
        "again with aligned external data)");
}

TEST_CASE("a folder that does not exist is an error before any work") {
  TempDir folder;
  ir::Model imported =
      io::import_onnx_bytes(small_model().SerializeAsString(), "m.onnx");
  CHECK_THROWS_AS(
      io::export_onnx(imported, folder.path() / "none" / "out.onnx"), Error);
}

TEST_CASE("weights that go beside the bytes, by name") {
  onnx::ModelProto proto = small_model();
  onnx::GraphProto& graph = *proto.mutable_graph();
  const std::vector<float> many(1024, 3);
  for (const char* name : {"read", "given", "shown", "unused"})
    add_floats(graph, name, {1024}, many);
  add_floats(graph, "few", {1023}, {many.begin(), many.end() - 1});
  add_node(graph, "Sum", {"read", "given", "shown"}, {"sum"});
  add_node(graph, "Neg", {"few"}, {"minus"});
  set_float_type(*graph.add_input(), "given", {1024});
  for (const char* name : {"shown", "sum"})
    set_float_type(*graph.add_output(), name, {1024});
  const ir::Model model =
      io::import_onnx_bytes(proto.SerializeAsString(), "m.onnx");

  const io::DetachedModel detached = io::export_onnx_detached(model);
  REQUIRE(detached.weights.size() == 1);
  CHECK(detached.weights[0].first == "read");
  CHECK(detached.weights[0].second.data<float>().data() ==
        model.graph->find("read")->tensor().data<float>().data());
  onnx::ModelProto written;
  REQUIRE(written.ParseFromString(detached.bytes));
  for (const onnx::TensorProto& tensor : written.graph().initializer())
    CHECK((tensor.data_location() == onnx::TensorProto::EXTERNAL) ==
          (tensor.name() == "read"));
}

// The size of the memory that is this process's own, in bytes.
uint64_t own_memory() {
  std::string status = read_file("/proc/self/status");
  size_t at = status.find("RssAnon:");
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + 8, nullptr, 10) * 1024;
}

TEST_CASE("a model above 2 GB streams through") {
  // Writes 2.2 GB.
  if (!std::getenv("LATHE_SLOW_TESTS")) {
    std::cerr << "skipped: the 2.2 GB model (set LATHE_SLOW_TESTS)\n";
    return;
  }
  TempDir folder;
  constexpr uint64_t kHalf = 1'100'000'000;
  if (fs::space(folder.path()).available < 4 * kHalf) {
    std::cerr << "skipped: the 2.2 GB model (no room on the disk)\n";
    return;
  }
  auto path = folder.path() / "large.onnx";
  write_file_atomic(folder.path() / "w.bin", "");
  fs::resize_file(folder.path() / "w.bin", 2 * kHalf);
  onnx::ModelProto model = small_model();
  for (int i = 0; i < 2; ++i) {
    onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name("large" + std::to_string(i));
    tensor.set_data_type(onnx::TensorProto::INT8);
    tensor.add_dims(kHalf);
    set_external(tensor, "w.bin", std::to_string(kHalf * i),
                 std::to_string(kHalf));
  }
  write_file_atomic(path, model.SerializeAsString());
  uint64_t before = own_memory();
  ir::Model imported = io::import_onnx(path);
  CHECK_THROWS_WITH_AS(
      io::export_onnx_bytes(imported),
      "model: the model takes 2.0 GiB, but one ONNX file holds less than 2 "
      "GiB (save it to a file, so that its weights can go to a second one)",
      Error);
  auto out = folder.path() / "out.onnx";
  io::export_onnx(imported, out);
  CHECK(own_memory() < before + 100'000'000);
  CHECK(fs::file_size(out) < 10'000);
  CHECK(fs::file_size(folder.path() / "out.onnx.data") >= 2 * kHalf);
  ir::Model again = io::import_onnx(out);
  for (const char* name : {"w", "large0", "large1"})
    CHECK(again.graph->find(name)->tensor().identical(
        imported.graph->find(name)->tensor()));
}

}  // namespace
}  // namespace lathe::test
