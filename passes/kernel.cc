#include "passes/kernel.h"

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "passes/base/error.h"

namespace lathe {
namespace {

constexpr std::array<const char*, 4> kPrecisions = {"fp32", "fp16", "int8",
                                                    "other"};
constexpr std::array<const char*, 3> kLayouts = {"plain", "blocked",
                                                 "interleaved"};

// Calls f(name, field) for every field: the one list of them.
template <class Kernel, class F>
void for_each_field(Kernel&& k, F&& f) {
  f("kind", k.kind);
  f("precision", k.precision);
  f("layout", k.layout);
  f("batch", k.batch);
  f("in_channels", k.in_channels);
  f("in_height", k.in_height);
  f("in_width", k.in_width);
  f("out_channels", k.out_channels);
  f("out_height", k.out_height);
  f("out_width", k.out_width);
  f("kernel_height", k.kernel_height);
  f("kernel_width", k.kernel_width);
  f("stride_height", k.stride_height);
  f("stride_width", k.stride_width);
  f("dilation_height", k.dilation_height);
  f("dilation_width", k.dilation_width);
  f("group", k.group);
  f("matrices", k.matrices);
  f("rows", k.rows);
  f("depth", k.depth);
  f("columns", k.columns);
  f("transposed_a", k.transposed_a);
  f("transposed_b", k.transposed_b);
  f("constant_b", k.constant_b);
  f("bytes_in", k.bytes_in);
  f("bytes_weights", k.bytes_weights);
  f("bytes_out", k.bytes_out);
  f("flops", k.flops);
  f("elements", k.elements);
  f("inputs", k.inputs);
  f("run", k.run);
  f("working_set", k.working_set);
  f("reuse_distance", k.reuse_distance);
  f("traffic", k.traffic);
  f("fused_add", k.fused_add);
  f("activation", k.activation);
}

Json field_json(Precision value) { return to_string(value); }
Json field_json(Layout value) { return to_string(value); }
template <class T>
Json field_json(const T& value) {
  return value;
}

template <class T, size_t N>
T from_name(const std::array<const char*, N>& names, const Json& json) {
  if (json.is_string())
    for (size_t i = 0; i < N; ++i)
      if (json.get_ref<const std::string&>() == names[i])
        return static_cast<T>(i);
  std::string expected = "expected one of";
  for (const char* name : names) expected += std::string(" ") + name;
  throw Error(ErrorKind::kInput, "", "found " + json.dump(), expected);
}

void read_field(const Json& json, Precision& value) {
  value = from_name<Precision>(kPrecisions, json);
}
void read_field(const Json& json, Layout& value) {
  value = from_name<Layout>(kLayouts, json);
}
void read_field(const Json& json, std::string& value) {
  if (!json.is_string())
    throw Error(ErrorKind::kInput, "", "found " + json.dump(),
                "expected a string");
  value = json.get<std::string>();
}
void read_field(const Json& json, bool& value) {
  if (!json.is_boolean())
    throw Error(ErrorKind::kInput, "", "found " + json.dump(),
                "expected true or false");
  value = json.get<bool>();
}
void read_field(const Json& json, int64_t& value) {
  constexpr int64_t kMost = int64_t{1} << 60;
  if (!json.is_number_integer() || json.get<double>() < 0 ||
      json.get<double>() > static_cast<double>(kMost))
    throw Error(ErrorKind::kInput, "", "found " + json.dump(),
                "expected a whole number from 0");
  value = json.get<int64_t>();
}

}  // namespace

const char* to_string(Precision precision) {
  return kPrecisions[static_cast<size_t>(precision)];
}

const char* to_string(Layout layout) {
  return kLayouts[static_cast<size_t>(layout)];
}

size_t hash_value(const KernelDescriptor& kernel) {
  size_t hash = 0;
  for_each_field(kernel, [&](const char*, const auto& value) {
    using T = std::decay_t<decltype(value)>;
    // Boost's hash_combine with the golden ratio in 64 bits.
    hash ^= std::hash<T>{}(value) + 0x9e3779b97f4a7c15ull + (hash << 12) +
            (hash >> 4);
  });
  return hash;
}

Json to_json(const KernelDescriptor& kernel) {
  static const Json defaults = [] {
    Json json = Json::object();
    for_each_field(KernelDescriptor{}, [&](const char* name, const auto& v) {
      json[name] = field_json(v);
    });
    return json;
  }();
  Json json = Json::object();
  for_each_field(kernel, [&](const char* name, const auto& value) {
    Json field = field_json(value);
    if (field != defaults[name]) json[name] = std::move(field);
  });
  return json;
}

KernelDescriptor kernel_from_json(const Json& json, const std::string& where) {
  if (!json.is_object())
    throw_input(where, "found " + json.dump(), "expected an object");
  KernelDescriptor kernel;
  size_t known = 0;
  for_each_field(kernel, [&](const char* name, auto& value) {
    auto found = json.find(name);
    if (found == json.end()) return;
    ++known;
    try {
      read_field(*found, value);
    } catch (const Error& error) {
      throw_input(where + "/" + name, error.message(), error.hint());
    }
  });
  if (kernel.kind.empty())
    throw_input(where, "the kernel has no kind", "every kernel names its kind");
  if (known == json.size()) return kernel;
  for (const auto& [name, value] : json.items()) {
    bool is_field = false;
    for_each_field(kernel, [&](const char* field, const auto&) {
      is_field = is_field || name == field;
    });
    if (!is_field)
      throw_input(where + "/" + name, "a kernel has no such field");
  }
  return kernel;
}

}  // namespace lathe
