// The printer; the parser is in text_parser.cc.
#include "passes/ir/text_format.h"

#include <fmt/format.h>

#include <cctype>

#include "passes/base/hash.h"
#include "passes/ir/data_type.h"

namespace lathe::ir {
namespace {

bool is_bare(std::string_view name) {
  if (name.empty() || name == "_") return false;
  for (char c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' &&
        c != '/' && c != '-')
      return false;
  return true;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (byte < 0x20 || byte > 0x7e)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out + "\"";
}

std::string name_text(std::string_view name) {
  return is_bare(name) ? std::string(name) : quote(name);
}

// A keyword must not start like a comment: "//" is one only at its start.
std::string word_text(std::string_view name) {
  return is_bare(name) && std::isalpha(static_cast<unsigned char>(name[0]))
             ? std::string(name)
             : quote(name);
}

std::string type_text(const ValueType& type) {
  if (!type.is_tensor()) return "opaque(" + quote(type.opaque) + ")";
  std::string text =
      type.elem == DataType::kUndefined ? "?" : to_string(type.elem);
  if (!type.shape) return text;
  text += "[";
  for (size_t i = 0; i < type.shape->size(); ++i) {
    const Dim& dim = (*type.shape)[i];
    if (i) text += ",";
    if (dim.known())
      text += std::to_string(dim.value);
    else
      text += dim.symbol.empty() ? "?" : word_text(dim.symbol);
  }
  return text + "]";
}

std::string elements_text(const Tensor& tensor) {
  std::string text;
  auto add = [&](const std::string& element) {
    if (!text.empty()) text += ", ";
    text += element;
  };
  auto add_numbers = [&]<class T>(T) {
    for (T value : tensor.data<T>()) add(fmt::format("{}", value));
  };
  switch (tensor.type()) {
    case DataType::kString:
      for (const std::string& element : tensor.strings()) add(quote(element));
      break;
    case DataType::kDouble:
      add_numbers(double());
      break;
    case DataType::kInt64:
      add_numbers(int64_t());
      break;
    case DataType::kUint64:
      add_numbers(uint64_t());
      break;
    case DataType::kComplex64:
    case DataType::kComplex128:
    case DataType::kFloat8E4M3FN:
    case DataType::kFloat8E4M3FNUZ:
    case DataType::kFloat8E5M2:
    case DataType::kFloat8E5M2FNUZ:
    case DataType::kFloat4E2M1:
    case DataType::kFloat8E8M0:
    case DataType::kUndefined:
      return "bytes " +
             quote({reinterpret_cast<const char*>(tensor.bytes().data()),
                    tensor.bytes().size()});
    default:  // exact in float
      for (double value : tensor.to_doubles())
        add(is_floating(tensor.type())
                ? fmt::format("{}", static_cast<float>(value))
                : fmt::format("{}", static_cast<int64_t>(value)));
  }
  return text;
}

std::string tensor_text(const Tensor& tensor, const TextOptions& options) {
  ValueType type;
  type.elem = tensor.type();
  type.shape = to_shape(tensor.dims());
  std::string text = type_text(type);
  if (tensor.size() <= options.max_elements)
    return text + " {" + elements_text(tensor) + "}";
  std::string bytes;
  for (const std::string& element : tensor.strings())
    bytes += quote(element) + ",";
  std::string hash = tensor.type() == DataType::kString
                         ? sha256_hex(std::string_view(bytes))
                         : sha256_hex(tensor.bytes());
  return text + " #" + hash.substr(0, 16);
}

std::string float_text(float value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".ein") == std::string::npos ? text + ".0" : text;
}

class Printer {
 public:
  explicit Printer(const TextOptions& options) : options_(options) {}

  void print(const Model& model) {
    line(fmt::format("ir_version {}", model.ir_version));
    print_opsets(model.opset_imports);
    if (!model.producer_name.empty() || !model.producer_version.empty())
      line("producer " + quote(model.producer_name) + " " +
           quote(model.producer_version));
    if (!model.domain.empty()) line("domain " + quote(model.domain));
    if (model.model_version != 0)
      line(fmt::format("model_version {}", model.model_version));
    for (const auto& [key, value] : model.metadata)
      line("metadata " + quote(key) + " " + quote(value));
    for (const Function& function : model.functions) print(function);
    print(*model.graph);
    text += "\n";
  }

  void print(const Graph& graph) {
    text += std::string(graph.name.empty() ? "graph" : "graph ") +
            (graph.name.empty() ? "" : name_text(graph.name)) + " {\n";
    depth_ += 1;
    for (Value* input : graph.inputs()) {
      // Always typed: the text stands for a whole interface.
      std::string entry =
          "input " + value_text(input) + ": " + type_text(input->type);
      if (input->has_initializer())
        entry += " = " + tensor_text(input->tensor(), options_);
      line(entry);
    }
    for (Value* value : graph.initializers())
      if (!value->is_graph_input())
        line("init " + value_text(value) + " = " +
             tensor_text(value->tensor(), options_));
    for (const auto& node : graph.nodes()) print(*node);
    for (Value* output : graph.outputs()) line("output " + value_text(output));
    depth_ -= 1;
    text += indent() + "}";
  }

  std::string text;

 private:
  std::string indent() const { return std::string(2 * depth_, ' '); }
  void line(const std::string& content) { text += indent() + content + "\n"; }

  static std::string value_text(const Value* value) {
    return value ? "%" + name_text(value->name()) : "_";
  }

  static std::string op_text(const std::string& domain, const std::string& op,
                             const std::string& overload) {
    return (domain.empty() ? "" : word_text(domain) + "::") + word_text(op) +
           (overload.empty() ? "" : "<" + quote(overload) + ">");
  }

  void print_opsets(const std::map<std::string, int64_t>& imports) {
    for (const auto& [domain, version] : imports)
      line(domain.empty()
               ? fmt::format("opset {}", version)
               : fmt::format("opset {} {}", word_text(domain), version));
  }

  void print(const Function& function) {
    line("function " +
         op_text(function.domain, function.name, function.overload) + " {");
    depth_ += 1;
    print_opsets(function.opset_imports);
    for (const std::string& name : function.attributes)
      line("attribute " + word_text(name));
    for (const auto& [name, attribute] : function.default_attributes) {
      text += indent() + "attribute " + word_text(name) + " = ";
      print(attribute);
      text += "\n";
    }
    text += indent();
    print(*function.body);
    depth_ -= 1;
    text += "\n" + indent() + "}\n";
  }

  void print(const Node& node) {
    text += indent();
    bool first = true;
    for (Value* output : node.outputs()) {
      text += (first ? "" : ", ") + value_text(output);
      first = false;
      if (output && options_.value_types &&
          !(output->type.is_tensor() && !output->type.shape &&
            output->type.elem == DataType::kUndefined))
        text += ": " + type_text(output->type);
    }
    if (first) text += "()";
    text += " = " + op_text(node.domain, node.op_type, node.overload) + "(";
    first = true;
    for (Value* input : node.inputs()) {
      text += (first ? "" : ", ") + value_text(input);
      first = false;
    }
    text += ")";
    if (!node.attributes().empty()) print_attributes(node);
    if (!node.name.empty()) text += " @" + name_text(node.name);
    text += "\n";
  }

  void print_attributes(const Node& node) {
    bool blocks = !node.subgraphs().empty();
    text += blocks ? " {\n" : " {";
    depth_ += 1;
    size_t left = node.attributes().size();
    for (const auto& [name, attribute] : node.attributes()) {
      if (blocks) text += indent();
      text += word_text(name) + " = ";
      print(attribute);
      if (--left > 0) text += blocks ? "," : ", ";
      if (blocks) text += "\n";
    }
    depth_ -= 1;
    text += (blocks ? indent() : "") + "}";
  }

  template <class T, class F>
  void print_list(const char* kind, const std::vector<T>& items, F&& item) {
    if (items.empty()) {
      text += kind;
      text += "[]";
      return;
    }
    text += "[";
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) text += ", ";
      item(items[i]);
    }
    text += "]";
  }

  void print(const Attribute& attribute) {
    if (!attribute.ref_name.empty()) {
      text += fmt::format("ref({}, {})", quote(attribute.ref_name),
                          attribute.ref_type);
      return;
    }
    if (auto* data = attribute.get_if<float>()) {
      text += float_text(*data);
    } else if (auto* data = attribute.get_if<int64_t>()) {
      text += std::to_string(*data);
    } else if (auto* data = attribute.get_if<std::string>()) {
      text += quote(*data);
    } else if (auto* data = attribute.get_if<Tensor>()) {
      text += tensor_text(*data, options_);
    } else if (auto* data = attribute.get_if<std::unique_ptr<Graph>>()) {
      print(**data);
    } else if (auto* data = attribute.get_if<std::vector<float>>()) {
      print_list("floats", *data, [&](float v) { text += float_text(v); });
    } else if (auto* data = attribute.get_if<std::vector<int64_t>>()) {
      print_list("ints", *data, [&](int64_t v) { text += std::to_string(v); });
    } else if (auto* data = attribute.get_if<std::vector<std::string>>()) {
      print_list("strings", *data,
                 [&](const std::string& v) { text += quote(v); });
    } else if (auto* data = attribute.get_if<std::vector<Tensor>>()) {
      print_list("tensors", *data,
                 [&](const Tensor& v) { text += tensor_text(v, options_); });
    } else if (auto* data =
                   attribute.get_if<std::vector<std::unique_ptr<Graph>>>()) {
      print_list("graphs", *data,
                 [&](const std::unique_ptr<Graph>& v) { print(*v); });
    } else if (auto* data = attribute.get_if<OpaqueAttribute>()) {
      text += "opaque(" + quote(data->bytes) + ")";
    } else {
      text += "empty";
    }
  }

  const TextOptions& options_;
  size_t depth_ = 0;
};

}  // namespace

std::string to_text(const Model& model, const TextOptions& options) {
  Printer printer(options);
  printer.print(model);
  return printer.text;
}

std::string to_text(const Graph& graph, const TextOptions& options) {
  Printer printer(options);
  printer.print(graph);
  return printer.text + "\n";
}

}  // namespace lathe::ir
