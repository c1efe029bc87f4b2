// Format "wav": 16-bit PCM recordings (RIFF), one a file. A sample is [length]
// for one channel and [channels, length] for more.
#include <fmt/format.h>

#include <cstring>

#include "calibration/data/descriptor.h"
#include "calibration/data/file_set.h"
#include "calibration/data/labels.h"
#include "passes/base/error.h"

namespace lathe::data {
namespace {

struct Recording {
  int64_t channels = 0, sample_rate = 0;
  std::string_view data;  // interleaved, 16 bits each
};

uint32_t little(std::string_view bytes, size_t at, size_t width) {
  uint32_t value = 0;
  for (size_t k = 0; k < width; ++k)
    value |= uint32_t{static_cast<uint8_t>(bytes[at + k])} << (8 * k);
  return value;
}

Recording parse_wav(std::string_view bytes, const std::string& where) {
  if (bytes.size() < 12 || bytes.substr(0, 4) != "RIFF" ||
      bytes.substr(8, 4) != "WAVE")
    throw_input(where, "not a wav file");
  Recording recording;
  size_t at = 12;
  while (bytes.size() - at >= 8) {
    const std::string_view id = bytes.substr(at, 4);
    const uint64_t size = little(bytes, at + 4, 4);
    at += 8;
    const std::string_view chunk = bytes.substr(at, size);
    if (id == "fmt ") {
      if (chunk.size() < 16) throw_input(where, "the wav header ends early");
      uint32_t format = little(chunk, 0, 2);
      // WAVE_FORMAT_EXTENSIBLE: the format proper is in the sub-format.
      if (format == 0xfffe && chunk.size() >= 26) format = little(chunk, 24, 2);
      const uint32_t bits = little(chunk, 14, 2);
      if (format != 1 || bits != 16)
        throw_unsupported(where, fmt::format("wav format {} of {} bits, "
                                             "expected 1 (PCM) of 16 bits",
                                             format, bits));
      recording.channels = little(chunk, 2, 2);
      recording.sample_rate = little(chunk, 4, 4);
      if (recording.channels == 0) throw_input(where, "has no channels");
    } else if (id == "data") {
      if (recording.channels == 0)
        throw_input(where, "the wav data comes before its header");
      if (chunk.size() < size)
        throw_input(where, fmt::format("holds {} bytes of sound, its header "
                                       "says {}",
                                       chunk.size(), size));
      recording.data = chunk;
      return recording;
    }
    at += std::min<uint64_t>(size + size % 2, bytes.size() - at);
  }
  throw_input(where, "the wav file has no data");
}

class WavFiles : public SampleSet {
 public:
  WavFiles(const OpenContext& context, LabelledFiles files)
      : files_(std::move(files)),
        options_(context.descriptor.audio),
        input_(choose_input(context.inputs, context.descriptor.input,
                            context.descriptor.where("input"))),
        description_("wav " + context.descriptor.path.filename().string()) {
    if (has_labels())
      description_ += fmt::format(", {} classes", files_.classes);
    if (!ir::is_floating(input_.type))
      throw_input(context.descriptor.where("input"),
                  fmt::format("input '{}' is of type {}, and sound is given as "
                              "floats",
                              input_.name, ir::to_string(input_.type)));
  }

  int64_t size() const override {
    return static_cast<int64_t>(files_.files.size());
  }
  bool has_labels() const override { return !files_.labels.empty(); }
  std::string description() const override { return description_; }
  std::string name(int64_t i) const override { return blob(i).name(); }

  Sample load(int64_t i, const std::optional<Variation>&) const override {
    const std::string where = name(i);
    const std::string bytes = blob(i).read_all(kMaxFileBytes);
    const Recording recording = parse_wav(bytes, where);
    if (options_.sample_rate && recording.sample_rate != *options_.sample_rate)
      throw_input(where,
                  fmt::format("has {} samples a second, expected {}",
                              recording.sample_rate, *options_.sample_rate),
                  "resample the recordings first");
    const int64_t frames =
        static_cast<int64_t>(recording.data.size()) / (2 * recording.channels);
    const int64_t length = options_.length.value_or(frames);
    std::vector<int64_t> dims = {recording.channels, length};
    if (recording.channels == 1) dims = {length};
    dims = fit_sample(dims, input_, where,
                      "set audio.length to the input's length");
    std::vector<float> values(static_cast<size_t>(recording.channels * length));
    for (int64_t t = 0; t < std::min(frames, length); ++t)
      for (int64_t c = 0; c < recording.channels; ++c) {
        const auto at = static_cast<size_t>(2 * (t * recording.channels + c));
        const auto raw = static_cast<int16_t>(little(recording.data, at, 2));
        values[static_cast<size_t>(c * length + t)] =
            static_cast<float>(raw * options_.scale);
      }
    ir::Tensor tensor = ir::Tensor::from<float>(dims, values);
    if (input_.type != ir::DataType::kFloat)
      tensor = ir::Tensor::from_doubles(input_.type, dims, tensor.to_doubles());
    Sample sample;
    sample.inputs.emplace_back(input_.name, std::move(tensor));
    if (has_labels()) sample.label = files_.labels[static_cast<size_t>(i)];
    return sample;
  }

 private:
  const Blob& blob(int64_t i) const {
    return files_.files[static_cast<size_t>(i)].blob;
  }
  LabelledFiles files_;
  AudioOptions options_;
  ModelInput input_;
  std::string description_;
};

}  // namespace

std::shared_ptr<const SampleSet> open_wav(const OpenContext& context) {
  const Descriptor& descriptor = context.descriptor;
  FileSet files = open_files(descriptor.path, {{".wav"}, descriptor.files});
  if (files.empty())
    throw_input(
        descriptor.where("path"),
        fmt::format("'{}' holds no .wav file{}", descriptor.path.string(),
                    descriptor.files.empty()
                        ? ""
                        : " that matches '" + descriptor.files + "'"));
  return std::make_shared<WavFiles>(context,
                                    label_files(std::move(files), descriptor));
}

}  // namespace lathe::data
