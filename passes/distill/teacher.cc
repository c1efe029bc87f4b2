#include "passes/distill/teacher.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "passes/base/error.h"
#include "passes/base/hash.h"
#include "passes/base/json.h"

namespace lathe::distill {
namespace {

constexpr size_t kChecksum = 8;
constexpr size_t kHead = 4096;  // bytes, in front of the records

// Of a head: what it is of is part of it.
std::string checksum(const std::string& fingerprint, const Json& parts) {
  return sha256_hex(fingerprint + parts.dump());
}

// Of a record: its sample's number is part of it.
std::string checksum(int64_t index, const std::string& bytes) {
  return sha256_hex(bytes + std::to_string(index)).substr(0, kChecksum);
}

[[noreturn]] void throw_io(const std::filesystem::path& path) {
  throw Error(ErrorKind::kIo, path.string(),
              "cannot be used: " + std::generic_category().message(errno),
              "--teacher-cache 0 does without");
}

}  // namespace

// A sample's outputs one behind the other, then the checksum.
struct OutputCache::Layout {
  struct Part {
    std::vector<int64_t> dims;  // without the batch
    at::ScalarType type = at::kFloat;
    size_t bytes = 0;
  };
  std::vector<Part> parts;
  size_t record = kChecksum;

  explicit Layout(std::vector<Part> all) : parts(std::move(all)) {
    for (const Part& part : parts) record += part.bytes;
  }

  static std::vector<Part> of(const std::vector<at::Tensor>& outputs) {
    std::vector<Part> parts;
    for (const at::Tensor& output : outputs)
      parts.push_back({{output.sizes().begin() + 1, output.sizes().end()},
                       output.scalar_type(),
                       output.nbytes() / static_cast<size_t>(output.size(0))});
    return parts;
  }

  off_t place(int64_t index) const {
    return static_cast<off_t>(kHead) + static_cast<off_t>(record) * index;
  }

  bool matches(const std::vector<at::Tensor>& outputs) const {
    bool same = outputs.size() == parts.size();
    for (size_t i = 0; same && i < parts.size(); ++i)
      same = outputs[i].scalar_type() == parts[i].type &&
             outputs[i].sizes().slice(1).equals(parts[i].dims);
    return same;
  }
};

OutputCache::OutputCache(std::filesystem::path path,
                         const std::string& fingerprint, int64_t samples,
                         int64_t bytes)
    : path_(std::move(path)),
      fingerprint_(fingerprint),
      samples_(samples),
      bytes_(bytes) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) throw_io(path_);
  read_head();
}

// A head that does not read is one of a file that was never begun.
void OutputCache::read_head() {
  std::string head(kHead, '\0');
  const ssize_t read = ::pread(file_, head.data(), kHead, 0);
  const Json json = Json::parse(head.c_str(), nullptr, /*exceptions=*/false);
  const Json found = json.is_object() ? json.value("parts", Json()) : Json();
  if (read == static_cast<ssize_t>(kHead) && found.is_array() &&
      json.value("checksum", Json()) == checksum(fingerprint_, found)) {
    std::vector<Layout::Part> parts;
    for (const Json& part : found)
      parts.push_back({part.at("dims"),
                       static_cast<at::ScalarType>(part.at("type").get<int>()),
                       part.at("bytes")});
    layout_ = std::make_unique<Layout>(std::move(parts));
  } else if (::ftruncate(file_, 0) != 0) {
    throw_io(path_);
  }
}

void OutputCache::write_head() {
  Json parts = Json::array();
  for (const Layout::Part& part : layout_->parts)
    parts.push_back({{"dims", part.dims},
                     {"type", static_cast<int>(part.type)},
                     {"bytes", part.bytes}});
  std::string head = Json{
      {"checksum", checksum(fingerprint_, parts)},
      {"parts", parts}}.dump();
  if (head.size() >= kHead) head.clear();
  head.resize(kHead);
  if (::pwrite(file_, head.data(), kHead, 0) != static_cast<ssize_t>(kHead))
    throw_io(path_);
}

OutputCache::~OutputCache() {
  if (file_ >= 0) ::close(file_);
}

// Every sample gives outputs of one size, and all of them have room.
bool OutputCache::fits(const std::vector<at::Tensor>& outputs) {
  for (const at::Tensor& output : outputs)
    if (output.dim() == 0 || output.size(0) == 0) return false;
  if (!layout_) {
    layout_ = std::make_unique<Layout>(Layout::of(outputs));
    write_head();
  }
  return layout_->matches(outputs) &&
         static_cast<int64_t>(layout_->record) <= bytes_ / samples_;
}

std::vector<at::Tensor> OutputCache::find(const std::vector<int64_t>& indices) {
  if (!layout_ || indices.empty()) return {};
  std::vector<at::Tensor> outputs;
  for (const Layout::Part& part : layout_->parts) {
    std::vector<int64_t> dims = part.dims;
    dims.insert(dims.begin(), static_cast<int64_t>(indices.size()));
    outputs.push_back(at::empty(dims, part.type));
  }
  const size_t data = layout_->record - kChecksum;
  std::string record(layout_->record, '\0');
  for (size_t i = 0; i < indices.size(); ++i) {
    const ssize_t read = ::pread(file_, record.data(), record.size(),
                                 layout_->place(indices[i]));
    if (read != static_cast<ssize_t>(record.size()) ||
        record.substr(data) != checksum(indices[i], record.substr(0, data)))
      return {};
    size_t at = 0;
    for (size_t k = 0; k < outputs.size(); ++k) {
      const size_t bytes = layout_->parts[k].bytes;
      std::memcpy(static_cast<char*>(outputs[k].data_ptr()) + i * bytes,
                  record.data() + at, bytes);
      at += bytes;
    }
  }
  ++hits;
  return outputs;
}

void OutputCache::keep(const std::vector<int64_t>& indices,
                       const std::vector<at::Tensor>& outputs) {
  if (indices.empty() || !fits(outputs)) return;
  std::vector<at::Tensor> whole;
  for (const at::Tensor& output : outputs)
    whole.push_back(output.detach().cpu().contiguous());
  for (size_t i = 0; i < indices.size(); ++i) {
    std::string record;
    for (size_t k = 0; k < whole.size(); ++k) {
      const size_t bytes = layout_->parts[k].bytes;
      record.append(static_cast<const char*>(whole[k].data_ptr()) + i * bytes,
                    bytes);
    }
    record += checksum(indices[i], record);
    if (::pwrite(file_, record.data(), record.size(),
                 layout_->place(indices[i])) !=
        static_cast<ssize_t>(record.size()))
      throw_io(path_);
  }
}

namespace {

// Null where it cannot.
std::unique_ptr<Executable> prepare(const Executor& executor,
                                    const ir::Model& model,
                                    const std::vector<std::string>& features) {
  ir::Model seen = ir::clone(model);
  for (const std::string& feature : features)
    seen.graph->add_output(seen.graph->find(feature));
  try {
    return executor.prepare(seen);
  } catch (const Error&) {
    return nullptr;
  }
}

ir::DataType type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ir::DataType::kFloat;
    case at::kDouble:
      return ir::DataType::kDouble;
    case at::kHalf:
      return ir::DataType::kFloat16;
    case at::kBFloat16:
      return ir::DataType::kBfloat16;
    case at::kInt:
      return ir::DataType::kInt32;
    case at::kByte:
      return ir::DataType::kUint8;
    case at::kChar:
      return ir::DataType::kInt8;
    case at::kBool:
      return ir::DataType::kBool;
    default:
      return ir::DataType::kInt64;
  }
}

}  // namespace

Teacher::Teacher(const ir::Model& model,
                 const std::vector<std::string>& features, at::Device device,
                 const Executor* executor, std::unique_ptr<OutputCache> cache)
    : outputs_(model.graph->outputs().size()),
      features_(features.size()),
      cache_(std::move(cache)) {
  if (executor && device.is_cpu())
    executable_ = prepare(*executor, model, features);
  if (executable_) return;
  exec::CompileOptions options;
  options.device = device;
  options.trainable = [](const ir::Value&) { return false; };
  program_ = exec::Program::compile(model, options);
  for (size_t i = 0; i < features.size(); ++i)
    program_->set_hook(features[i], [this, i](const at::Tensor& value) {
      features_[i] = value;
      return value;
    });
}

Teacher::Answer Teacher::compute(const exec::TrainingBatch& batch) {
  if (!executable_) {
    Answer answer;
    answer.outputs = program_->run(batch.inputs);
    answer.features = features_;
    return answer;
  }
  NamedTensors inputs;
  for (const auto& [name, tensor] : batch.inputs)
    inputs.emplace_back(name, exec::from_torch(tensor, type_of(tensor)));
  Answer answer;
  for (const ir::Tensor& tensor : executable_->run(inputs))
    (answer.outputs.size() < outputs_ ? answer.outputs : answer.features)
        .push_back(exec::to_torch(tensor));
  return answer;
}

Teacher::Answer Teacher::answer(const exec::TrainingBatch& batch) {
  const at::NoGradGuard no_grad;
  const bool kept = cache_ && features_.empty();
  Answer answer;
  if (kept) answer.outputs = cache_->find(batch.indices);
  if (!answer.outputs.empty()) return answer;
  answer = compute(batch);
  if (kept) cache_->keep(batch.indices, answer.outputs);
  return answer;
}

}  // namespace lathe::distill
