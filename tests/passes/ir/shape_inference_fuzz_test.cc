// Random nodes of every operator in the table: inference ends, with types or
// with an input error, whatever stands in the node.
#include <doctest/doctest.h>

#include "passes/base/random.h"
#include "tests/passes/ir/infer_fixture.h"

namespace lathe::ir {
namespace {

constexpr const char* kAttributes[] = {"axis",
                                       "axes",
                                       "perm",
                                       "pads",
                                       "strides",
                                       "dilations",
                                       "kernel_shape",
                                       "group",
                                       "auto_pad",
                                       "ceil_mode",
                                       "output_padding",
                                       "output_shape",
                                       "keepdims",
                                       "blocksize",
                                       "block_size",
                                       "scales",
                                       "mode",
                                       "to",
                                       "dtype",
                                       "shape",
                                       "value",
                                       "value_ints",
                                       "value_floats",
                                       "split",
                                       "num_outputs",
                                       "hidden_size",
                                       "direction",
                                       "layout",
                                       "starts",
                                       "ends",
                                       "start",
                                       "end",
                                       "equation",
                                       "batch_dims",
                                       "allowzero",
                                       "transA",
                                       "transB",
                                       "K",
                                       "N",
                                       "num_heads",
                                       "q_num_heads",
                                       "kv_num_heads",
                                       "sample_size",
                                       "pooled_shape",
                                       "output_height",
                                       "output_width",
                                       "channels",
                                       "channels_last",
                                       "k",
                                       "size",
                                       "onesided",
                                       "inverse",
                                       "stash_type",
                                       "transBatchA",
                                       "transBatchB",
                                       "qkv_hidden_sizes",
                                       "body",
                                       "num_scan_inputs",
                                       "reduction",
                                       "output_dtype",
                                       "noop_with_empty_axes",
                                       "keep_aspect_ratio_policy",
                                       "scan_input_axes"};

int64_t any_number(Random& random) {
  constexpr int64_t kOdd[] = {INT64_MIN, INT64_MAX,    -1,     -2,
                              0,         1LL << 40,    -65536, 1LL << 62,
                              1000000,   INT64_MIN + 1};
  if (random.below(4) == 0) return kOdd[random.below(std::size(kOdd))];
  return static_cast<int64_t>(random.below(7)) - 1;
}

std::vector<int64_t> any_numbers(Random& random) {
  std::vector<int64_t> numbers(random.below(6));
  for (int64_t& number : numbers) number = any_number(random);
  return numbers;
}

void any_attribute(Random& random, Node* node, const char* name) {
  constexpr const char* kTexts[] = {
      "",       "SAME_UPPER",    "VALID", "ij,jk", "...i->...",  "i.j->,",
      "linear", "bidirectional", "none",  "cubic", "not_larger", "a->b->c"};
  switch (random.below(6)) {
    case 0:
      node->set_attr(name,
                     std::string(kTexts[random.below(std::size(kTexts))]));
      break;
    case 1:
      node->set_attr(name, any_number(random));
      break;
    case 2:
      node->set_attr(name, Tensor::vector_i64(any_numbers(random)));
      break;
    case 3: {
      std::vector<float> floats(random.below(5));
      for (float& value : floats)
        value = static_cast<float>(random.uniform(-2, 1e30));
      node->set_attr(name, floats);
      break;
    }
    default:
      node->set_attr(name, any_numbers(random));
  }
}

Value* any_value(Random& random, test::Fixture& f) {
  constexpr DataType kTypes[] = {DataType::kFloat,  DataType::kInt64,
                                 DataType::kUint8,  DataType::kBool,
                                 DataType::kString, DataType::kUndefined};
  DataType elem = kTypes[random.below(std::size(kTypes))];
  switch (random.below(6)) {
    case 0:
      return nullptr;
    case 1:
      return f.input_of_unknown_rank(elem);
    case 2:
      return f.ints(any_numbers(random));
    case 3: {
      std::vector<float> floats(random.below(5));
      for (float& value : floats)
        value = static_cast<float>(random.uniform(-1, 3));
      return f.floats(floats);
    }
    default: {
      ValueType type;
      type.elem = elem;
      type.shape.emplace(random.below(6));
      for (Dim& dim : *type.shape) {
        switch (random.below(8)) {
          case 0:
            break;
          case 1:
            dim = Dim::named("N");
            break;
          case 2:
            dim = Dim(int64_t{1} << random.below(63));
            break;
          default:
            dim = Dim(static_cast<int64_t>(random.below(9)));
        }
      }
      return f.model.graph->add_input(f.model.graph->unique_name("x"), type);
    }
  }
}

TEST_CASE("shape_inference: random nodes never do worse than an input error") {
  Random random(11);
  int told = 0, refused = 0;
  for (const Operator& op : all_operators()) {
    for (int round = 0; round < 60; ++round) {
      test::Fixture f(static_cast<int64_t>(7 + random.below(17)));
      size_t inputs = static_cast<size_t>(op.min_inputs);
      if (op.max_inputs != op.min_inputs) inputs += random.below(4);
      if (random.below(10) == 0) inputs = random.below(5);
      std::vector<Value*> values;
      for (size_t i = 0; i < inputs; ++i)
        values.push_back(any_value(random, f));
      size_t outputs = static_cast<size_t>(op.min_outputs);
      if (op.max_outputs != op.min_outputs) outputs += random.below(3);
      Node* node = f.node(op.name, values, outputs, op.domain);
      for (uint64_t i = random.below(8); i > 0; --i)
        any_attribute(random, node,
                      kAttributes[random.below(std::size(kAttributes))]);
      INFO(op.domain << "." << op.name << " round " << round);
      try {
        infer_shapes(f.model);
        node_cost(*node);
        total_macs(f.model);
        ++told;
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kInput);
        CHECK(error.where() == node->label());
        ++refused;
      }
      for (const Value* value : node->outputs()) {
        if (!value->type.shape) continue;
        for (const Dim& dim : *value->type.shape) CHECK(dim.value >= -1);
      }
    }
  }
  // Both happen, or the test shows nothing.
  CHECK(told > 1000);
  CHECK(refused > 1000);
}

}  // namespace
}  // namespace lathe::ir
