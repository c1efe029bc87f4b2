// Codes become floats.
//
//   before   w8 -> DQ -> Conv               after   w -> Q [-> Clip] -> DQ
//            b32 -> DQ -> Conv                      b -> Conv
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "passes/affine.h"
#include "passes/base/error.h"
#include "passes/distill/twin_parts.h"
#include "passes/exec/program.h"

namespace lathe::distill {
namespace {

// Codes of 8 bits that the product of two never saturates.
constexpr int64_t kMax7BitCode = 63;

// The range that codes were in, where it is symmetric; nullopt: the type's.
std::optional<int64_t> symmetric_limit(const ir::Tensor& codes,
                                       const ir::Value* zero_point) {
  if (code_range(codes.type()).low == 0) return std::nullopt;
  if (zero_point)
    for (int64_t zero : zero_point->tensor().to_int64s())
      if (zero != 0) return std::nullopt;
  int64_t largest = 0;
  for (int64_t code : codes.to_int64s())
    largest = std::max(largest, std::abs(code));
  const int bits = ir::bits_per_element(codes.type());
  if (bits == 8 && largest <= kMax7BitCode) return kMax7BitCode;
  const int64_t limit = code_range(codes.type()).high;
  return largest <= limit ? std::optional(limit) : std::nullopt;
}

// The float weights beside the same consumer.
const ir::Tensor* twin_in(const ir::Model& reference, const ir::Value& real,
                          const std::vector<int64_t>& dims) {
  for (const ir::Use& use : real.uses()) {
    const ir::Value* output = use.node->output();
    const ir::Value* there =
        output ? reference.graph->find(output->name()) : nullptr;
    const ir::Node* node = there ? there->producer() : nullptr;
    if (!node && !use.node->name.empty())
      for (const auto& other : reference.graph->nodes())
        if (other->name == use.node->name) node = other.get();
    if (!node || node->op_type != use.node->op_type) continue;
    const ir::Value* value = node->input(use.index);
    if (value && value->is_constant() && value->tensor().dims() == dims &&
        ir::is_floating(value->type.elem))
      return &value->tensor();
  }
  return nullptr;
}

bool are_neighbours(const ir::Tensor& a, const ir::Tensor& b) {
  const std::vector<int64_t> left = a.to_int64s(), right = b.to_int64s();
  for (size_t i = 0; i < left.size(); ++i)
    if (std::abs(left[i] - right[i]) > 1) return false;
  return true;
}

class FloatMaker {
 public:
  FloatMaker(TwinParts& parts, const ir::Model* reference)
      : parts_(parts), graph_(*parts.model.graph), reference_(reference) {}

  void run() {
    freeze_gathered_scales();
    std::vector<ir::Value*> found;
    std::vector<std::string> names;
    for (ir::Value* value : graph_.initializers()) {
      if (!stands_for_floats(*value)) continue;
      found.push_back(value);
      names.push_back(value->uses()[0].node->output()->name());
    }
    const std::vector<ir::Tensor> floats = computed(parts_.model, names);
    for (size_t i = 0; i < found.size(); ++i) {
      if (reads_bias(*found[i]->uses()[0].node))
        replace_bias(*found[i], floats[i]);
      else
        replace_weights(*found[i], floats[i]);
    }
    if (reference_) start_from_reference();
  }

 private:
  struct Start {
    std::string values;
    ir::Tensor codes, floats;
    const ir::Node* dequantize;
  };

  // Tables that are gathered as codes, with the scales beside them.
  void freeze_gathered_scales() {
    for (const auto& node : graph_.nodes()) {
      const ir::Node* gather = is_dequantize(*node) && node->input(1)
                                   ? node->input(1)->producer()
                                   : nullptr;
      if (gather && gather->input(0))
        parts_.frozen.insert(gather->input(0)->name());
    }
  }

  // Nothing but DQs of the same parameters, and of the main graph, read it.
  bool stands_for_floats(const ir::Value& value) const {
    if (!value.is_constant() || value.uses().empty() || value.is_graph_output())
      return false;
    const ir::Node& first = *value.uses()[0].node;
    return std::ranges::all_of(value.uses(), [&](const ir::Use& use) {
      const ir::Node& node = *use.node;
      return use.index == 0 && reads_codes(node) && &node.graph() == &graph_ &&
             node.input(1)->is_constant() &&
             (!node.input(2) || node.input(2)->is_constant()) &&
             !node.output()->is_graph_output() &&
             !node.has_attribute("output_dtype") &&
             (reads_bias(node) || same_parameters(node, first));
    });
  }

  static bool same_parameters(const ir::Node& a, const ir::Node& b) {
    return a.input(1) == b.input(1) && same_constant(a.input(2), b.input(2)) &&
           a.attr_int("axis", 1) == b.attr_int("axis", 1) &&
           a.attr_int("block_size", 0) == b.attr_int("block_size", 0);
  }

  static std::vector<ir::Use> uses_of_floats(const ir::Value& codes) {
    std::vector<ir::Use> uses;
    for (const ir::Use& use : codes.uses())
      for (const ir::Use& reader : use.node->output()->uses())
        uses.push_back(reader);
    return uses;
  }

  // Whether training changes it where it stands.
  static bool would_train(ir::Value& floats, const std::vector<ir::Use>& uses) {
    std::vector<ir::Value*> before;
    for (const ir::Use& use : uses) {
      before.push_back(use.node->input(use.index));
      use.node->set_input(use.index, &floats);
    }
    const bool trains = exec::is_trainable(floats);
    for (size_t i = 0; i < uses.size(); ++i)
      uses[i].node->set_input(uses[i].index, before[i]);
    return trains;
  }

  void drop(ir::Value* value) {
    if (value && value->unused() && !value->is_graph_input() &&
        !value->producer())
      graph_.remove_value(value);
  }

  void replace_weights(ir::Value& codes, const ir::Tensor& floats) {
    const std::string name = codes.name();
    ir::Value* values = graph_.add_constant(name + "_float", floats);
    if (!would_train(*values, uses_of_floats(codes)))
      return graph_.remove_value(values);
    const ir::Tensor before = codes.tensor();
    const std::vector<ir::Use> readers = codes.uses();
    const ir::Node& first = *readers[0].node;
    ir::Value* zero = first.input(2);
    if (!zero)
      zero = graph_.add_constant(
          name + "_zero_point",
          ir::Tensor::zeros(before.type(), first.input(1)->tensor().dims()));
    for (const ir::Use& use : readers) use.node->set_input(2, zero);
    codes.clear_tensor();
    ir::Node* front = graph_.nodes().front().get();
    const std::optional<int64_t> limit = symmetric_limit(before, zero);
    ir::Value* all = &codes;
    if (limit) {
      all = graph_.add_value(graph_.unique_name(name + "_unclipped"));
      all->type = codes.type;
    }
    ir::Node* quantize =
        graph_.add_node("QuantizeLinear", {values, first.input(1), zero},
                        std::vector<ir::Value*>{all}, front);
    quantize->domain = first.domain;
    for (const char* attribute : {"axis", "block_size"})
      if (first.has_attribute(attribute))
        quantize->set_attr(attribute, first.attr_int(attribute, 0));
    if (limit) {
      const auto bound = [&](double code) {
        return graph_.add_constant(
            name + "_bound",
            ir::Tensor::from_doubles(before.type(), {}, std::span(&code, 1)));
      };
      const auto most = static_cast<double>(*limit);
      graph_.add_node("Clip", {all, bound(-most), bound(most)},
                      std::vector<ir::Value*>{&codes}, front);
    }
    parts_.codes.push_back({name, values->name()});
    parts_.trained.insert(values->name());
    starts_.push_back({values->name(), before, floats, &first});
  }

  void replace_bias(ir::Value& codes, const ir::Tensor& floats) {
    const std::vector<ir::Use> uses = uses_of_floats(codes);
    ir::Value* values = graph_.add_constant(codes.name() + "_float", floats);
    if (!would_train(*values, uses)) return graph_.remove_value(values);
    std::vector<ir::Node*> dequantizers;
    for (const ir::Use& use : codes.uses()) dequantizers.push_back(use.node);
    parts_.biases.push_back(read_bias(codes, *dequantizers[0], uses));
    for (const ir::Use& use : uses) use.node->set_input(use.index, values);
    const std::string name = dequantizers[0]->output()->name();
    for (ir::Node* node : dequantizers) {
      const std::vector<ir::Value*> inputs = node->inputs();
      graph_.remove_node(node);
      for (ir::Value* input : inputs) drop(input);
    }
    graph_.rename(values, name);
    parts_.biases.back().values = name;
    parts_.trained.insert(name);
  }

  void start_from_reference() {
    std::vector<const Start*> replaced;
    std::vector<std::string> names;
    for (size_t i = 0; i < starts_.size(); ++i) {
      const Start& start = starts_[i];
      const ir::Tensor* there =
          twin_in(*reference_, *start.dequantize->output(), start.codes.dims());
      if (!there) continue;
      graph_.find(start.values)
          ->set_tensor(ir::Tensor::from_doubles(
              start.floats.type(), there->dims(), there->to_doubles()));
      replaced.push_back(&start);
      names.push_back(parts_.codes[i].codes);
    }
    const std::vector<ir::Tensor> codes = computed(parts_.model, names);
    for (size_t i = 0; i < replaced.size(); ++i)
      if (!are_neighbours(codes[i], replaced[i]->codes))
        graph_.find(replaced[i]->values)->set_tensor(replaced[i]->floats);
  }

  TwinParts& parts_;
  ir::Graph& graph_;
  const ir::Model* reference_;
  std::vector<Start> starts_;  // as parts_.codes
};

}  // namespace

void make_floats(TwinParts& parts, const ir::Model* reference) {
  FloatMaker(parts, reference).run();
}

}  // namespace lathe::distill
