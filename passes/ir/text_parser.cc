// The parser of the form that text_format.h shows.
#include <fmt/format.h>

#include <cctype>
#include <unordered_map>

#include "passes/base/error.h"
#include "passes/ir/text_format.h"
#include "passes/ir/text_scanner.h"

namespace lathe::ir {
namespace {

constexpr int kMaxDepth = 64;  // of graphs inside graphs

class Parser {
 public:
  Parser(std::string_view text, const std::string& source)
      : scan_(text, source) {}

  Model model() {
    Model model;
    while (true) {
      if (scan_.accept_word("ir_version"))
        model.ir_version = scan_.number<int64_t>("a version");
      else if (scan_.accept_word("opset"))
        opset(model.opset_imports);
      else if (scan_.accept_word("producer")) {
        model.producer_name = scan_.quoted();
        model.producer_version = scan_.quoted();
      } else if (scan_.accept_word("domain"))
        model.domain = scan_.quoted();
      else if (scan_.accept_word("model_version"))
        model.model_version = scan_.number<int64_t>("a version");
      else if (scan_.accept_word("metadata")) {
        std::string key = scan_.quoted();
        model.metadata.emplace_back(std::move(key), scan_.quoted());
      } else if (scan_.accept_word("function"))
        model.functions.push_back(function());
      else
        break;
    }
    if (scan_.peek_word() != "graph")
      scan_.fail(fmt::format(
          "expected ir_version, opset, producer, domain, model_version, "
          "metadata, function or graph, found {}",
          scan_.found()));
    graph(*model.graph);
    if (!scan_.at_end())
      scan_.fail(
          fmt::format("expected the end of the text, found {}", scan_.found()));
    return model;
  }

 private:
  void opset(std::map<std::string, int64_t>& imports) {
    std::string domain;
    char c = scan_.peek();
    if (!std::isdigit(static_cast<unsigned char>(c)) && c != '-')
      domain = scan_.name("a domain or a version");
    imports[domain] = scan_.number<int64_t>("a version");
  }

  void op_name(std::string& domain, std::string& op, std::string& overload) {
    op = scan_.name("an operator");
    if (scan_.accept("::")) {
      domain = std::move(op);
      op = scan_.name("an operator");
    }
    if (scan_.accept("<")) {
      overload = scan_.quoted();
      scan_.expect(">");
    }
  }

  Function function() {
    Function function;
    function.body = std::make_unique<Graph>();
    op_name(function.domain, function.name, function.overload);
    scan_.expect("{");
    while (true) {
      if (scan_.accept_word("opset")) {
        opset(function.opset_imports);
      } else if (scan_.accept_word("attribute")) {
        std::string name = scan_.name("an attribute");
        if (scan_.accept("="))
          function.default_attributes.emplace_back(std::move(name),
                                                   attribute());
        else
          function.attributes.push_back(std::move(name));
      } else {
        break;
      }
    }
    graph(*function.body);
    scan_.expect("}");
    return function;
  }

  // What a graph (and those around it) knows while it is read.
  struct Scope {
    Graph* graph;
    Scope* parent;
    std::unordered_map<Value*, size_t> used_before;  // value -> where
  };

  void graph(Graph& graph) {
    if (!scan_.accept_word("graph"))
      scan_.fail(fmt::format("expected a graph, found {}", scan_.found()));
    if (++depth_ > kMaxDepth)
      scan_.fail(fmt::format("graphs are nested deeper than {}", kMaxDepth));
    Scope scope{&graph, scope_, {}};
    scope_ = &scope;
    if (scan_.peek() != '{') graph.name = scan_.name("a graph name");
    scan_.expect("{");
    while (!scan_.accept("}")) statement(graph, scope);
    for (const auto& node : graph.nodes())
      for (Value* value : node->inputs()) check_defined(scope, value);
    for (Value* value : graph.outputs()) check_defined(scope, value);
    scope_ = scope.parent;
    --depth_;
  }

  void check_defined(Scope& scope, Value* value) {
    auto it = scope.used_before.find(value);
    if (it != scope.used_before.end())
      scan_.fail_at(it->second,
                    fmt::format("'{}' is not defined", value->name()));
  }

  void statement(Graph& graph, Scope& scope) {
    char c = scan_.peek();
    std::string_view word = scan_.peek_word();
    if (c == '%' || c == '(' || word == "_") return node(graph, scope);
    if (scan_.accept_word("input")) {
      size_t at = scan_.position();
      std::string name = value_name();
      scan_.expect(":");
      ValueType declared = type();
      if (graph.find(name)) fail_twice(at, name);
      Value* value = graph.add_input(name, declared);
      if (scan_.accept("=")) {
        value->set_tensor(tensor());
        value->type = std::move(declared);
      }
    } else if (scan_.accept_word("init")) {
      size_t at = scan_.position();
      Value* value = define(scope, at, value_name());
      scan_.expect("=");
      value->set_tensor(tensor());
    } else if (scan_.accept_word("output")) {
      graph.add_output(reference(scope));
    } else {
      scan_.fail(
          fmt::format("expected input, init, a node, output or '}}', found {}",
                      scan_.found()));
    }
  }

  [[noreturn]] void fail_twice(size_t at, const std::string& name) {
    scan_.fail_at(at, fmt::format("'{}' is defined twice", name));
  }

  std::string value_name() {
    scan_.expect("%");
    return scan_.name("a value name");
  }

  Value* define(Scope& scope, size_t at, const std::string& name) {
    Value* value = scope.graph->find(name);
    if (!value) return scope.graph->add_value(name);
    if (scope.used_before.erase(value) == 0) fail_twice(at, name);
    return value;
  }

  Value* reference(Scope& scope) {
    size_t at = scan_.position();
    std::string name = value_name();
    for (Scope* s = &scope; s; s = s->parent)
      if (Value* value = s->graph->find(name)) return value;
    Value* value = scope.graph->add_value(name);
    scope.used_before.emplace(value, at);
    return value;
  }

  void node(Graph& graph, Scope& scope) {
    struct Output {
      std::string name;
      size_t at;
      ValueType type;
    };
    std::vector<std::optional<Output>> results;
    if (scan_.accept("(")) {
      scan_.expect(")");
    } else {
      do {
        if (scan_.accept_word("_")) {
          results.emplace_back();
          continue;
        }
        Output output;
        output.at = scan_.position();
        output.name = value_name();
        if (scan_.accept(":")) output.type = type();
        results.push_back(std::move(output));
      } while (scan_.accept(","));
    }
    scan_.expect("=");
    std::string domain, op, overload;
    op_name(domain, op, overload);
    scan_.expect("(");
    std::vector<Value*> inputs;
    if (!scan_.accept(")")) {
      do {
        inputs.push_back(scan_.accept_word("_") ? nullptr : reference(scope));
      } while (scan_.accept(","));
      scan_.expect(")");
    }
    std::vector<Value*> outputs;
    for (auto& result : results) {
      outputs.push_back(result ? define(scope, result->at, result->name)
                               : nullptr);
      if (result) outputs.back()->type = std::move(result->type);
    }
    for (size_t i = 0; i < outputs.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (outputs[i] && outputs[i] == outputs[j])
          fail_twice(results[i]->at, results[i]->name);
    Node* node = graph.add_node(op, std::move(inputs), std::move(outputs));
    node->domain = std::move(domain);
    node->overload = std::move(overload);
    if (scan_.accept("{")) {
      do {
        size_t at = scan_.position();
        std::string name = scan_.name("an attribute");
        scan_.expect("=");
        if (node->has_attribute(name))
          scan_.fail_at(at, fmt::format("attribute '{}' is given twice", name));
        node->set_attribute(name, attribute());
      } while (scan_.accept(","));
      scan_.expect("}");
    }
    if (scan_.accept("@")) node->name = scan_.name("a node name");
  }

  DataType elem_type() {
    if (scan_.accept("?")) return DataType::kUndefined;
    size_t at = scan_.position();
    std::string name = scan_.word("a type");
    if (auto type = data_type_from_string(name)) return *type;
    scan_.fail_at(at, fmt::format("unknown type '{}'", name));
  }

  ValueType type() {
    ValueType type;
    if (scan_.accept_word("opaque")) {
      scan_.expect("(");
      type.opaque = scan_.quoted();
      scan_.expect(")");
      return type;
    }
    type.elem = elem_type();
    if (!scan_.accept("[")) return type;
    type.shape.emplace();
    if (scan_.accept("]")) return type;
    do {
      if (scan_.accept("?")) {
        type.shape->emplace_back();
      } else if (std::isdigit(static_cast<unsigned char>(scan_.peek()))) {
        type.shape->emplace_back(scan_.number<int64_t>("a dimension"));
      } else {
        type.shape->push_back(Dim::named(scan_.name("a dimension")));
      }
    } while (scan_.accept(","));
    scan_.expect("]");
    return type;
  }

  Tensor tensor() {
    size_t at = scan_.position();
    ValueType declared = type();
    if (!declared.has_static_shape())
      scan_.fail_at(at, "a tensor needs a type with every dimension known");
    std::vector<int64_t> dims = to_dims(*declared.shape);
    if (scan_.peek() == '#')
      scan_.fail("only the hash of the elements is given; write them out");
    scan_.expect("{");
    try {
      Tensor result = elements(declared.elem, dims);
      scan_.expect("}");
      return result;
    } catch (const Error& error) {
      if (error.where() != "tensor") throw;  // it has a place already
      scan_.fail_at(at, error.message());
    }
  }

  template <class T>
  std::vector<T> numbers(const char* what) {
    std::vector<T> values;
    if (scan_.peek() == '}') return values;
    do {
      values.push_back(scan_.number<T>(what));
    } while (scan_.accept(","));
    return values;
  }

  // Nothing is allocated by the shape: elements are read, then counted.
  Tensor elements(DataType type, const std::vector<int64_t>& dims) {
    auto check = [&](size_t count) {
      if (uint64_t expected = element_count(dims, "tensor"); expected != count)
        scan_.fail(fmt::format("found {} elements, but the shape has {}", count,
                               expected));
    };
    auto wrap = [&](const auto& values) {
      check(values.size());
      return Tensor(type, dims,
                    Bytes::copy_of(std::as_bytes(std::span(values))));
    };
    if (scan_.accept_word("bytes"))
      return Tensor(type, dims, Bytes::own(scan_.quoted()));
    switch (type) {
      case DataType::kString: {
        std::vector<std::string> strings;
        if (scan_.peek() == '"') do {
            strings.push_back(scan_.quoted());
          } while (scan_.accept(","));
        check(strings.size());
        return Tensor(dims, std::move(strings));
      }
      case DataType::kFloat:
        return wrap(numbers<float>("a number"));
      case DataType::kDouble:
        return wrap(numbers<double>("a number"));
      case DataType::kInt64:
        return wrap(numbers<int64_t>("an integer"));
      case DataType::kUint64:
        return wrap(numbers<uint64_t>("an unsigned integer"));
      default: {
        std::vector<double> values;
        if (is_floating(type)) {
          values = numbers<double>("a number");
        } else {
          for (int64_t value : numbers<int64_t>("an integer"))
            values.push_back(static_cast<double>(value));
        }
        check(values.size());
        return Tensor::from_doubles(type, dims, values);
      }
    }
  }

  template <class T, class F>
  std::vector<T> list(F&& item) {
    std::vector<T> items;
    do {
      items.push_back(item());
    } while (scan_.accept(","));
    scan_.expect("]");
    return items;
  }

  std::unique_ptr<Graph> subgraph() {
    auto result = std::make_unique<Graph>();
    graph(*result);
    return result;
  }

  static bool is_integer_text(std::string_view text) {
    return text.find_first_not_of("+-0123456789") == std::string_view::npos;
  }
  bool number_ahead() {
    std::string_view word = scan_.peek_word();
    return !word.empty() &&
           (std::isdigit(static_cast<unsigned char>(word[0])) ||
            word[0] == '-' || word == "inf" || word == "nan");
  }

  Attribute attribute() {
    Attribute result;
    if (scan_.peek() == '"') {
      result.data = scan_.quoted();
    } else if (scan_.accept("[")) {
      if (scan_.peek() == '"')
        result.data = list<std::string>([this] { return scan_.quoted(); });
      else if (scan_.peek_word() == "graph")
        result.data =
            list<std::unique_ptr<Graph>>([this] { return subgraph(); });
      else if (number_ahead() && is_integer_text(scan_.peek_word()))
        result.data = list<int64_t>(
            [this] { return scan_.number<int64_t>("an integer"); });
      else if (number_ahead())
        result.data =
            list<float>([this] { return scan_.number<float>("a number"); });
      else
        result.data = list<Tensor>([this] { return tensor(); });
    } else if (number_ahead()) {
      if (is_integer_text(scan_.peek_word()))
        result.data = scan_.number<int64_t>("an integer");
      else
        result.data = scan_.number<float>("a number");
    } else if (scan_.peek_word() == "graph") {
      result.data = subgraph();
    } else if (scan_.accept_word("ref")) {
      scan_.expect("(");
      result.ref_name = scan_.quoted();
      scan_.expect(",");
      result.ref_type = scan_.number<int>("a type number");
      scan_.expect(")");
    } else if (scan_.accept_word("opaque")) {
      scan_.expect("(");
      result.data = OpaqueAttribute{scan_.quoted()};
      scan_.expect(")");
    } else if (scan_.accept_word("empty")) {
      result.data = std::monostate();
    } else if (empty_list(result)) {
      return result;
    } else {
      result.data = tensor();
    }
    return result;
  }

  bool empty_list(Attribute& result) {
    if (scan_.accept_word("ints"))
      result.data = std::vector<int64_t>();
    else if (scan_.accept_word("floats"))
      result.data = std::vector<float>();
    else if (scan_.accept_word("strings"))
      result.data = std::vector<std::string>();
    else if (scan_.accept_word("tensors"))
      result.data = std::vector<Tensor>();
    else if (scan_.accept_word("graphs"))
      result.data = std::vector<std::unique_ptr<Graph>>();
    else
      return false;
    scan_.expect("[");
    scan_.expect("]");
    return true;
  }

  TextScanner scan_;
  Scope* scope_ = nullptr;
  int depth_ = 0;
};

}  // namespace

Model parse_text(std::string_view text, const std::string& source) {
  return Parser(text, source).model();
}

}  // namespace lathe::ir
