// Einsum: labels of the equation, ellipsis included.
#include <algorithm>
#include <map>

#include "passes/base/text.h"
#include "passes/ir/op_matmul.h"

namespace lathe::ir {
namespace {

struct Equation {
  // Labels of each operand; '.' stands for the ellipsis.
  std::vector<std::string> terms;
  std::string output;
};

std::optional<Equation> parse(const std::string& text) {
  std::string compact;
  for (char c : text)
    if (c != ' ') compact += c;
  for (size_t at; (at = compact.find("...")) != std::string::npos;)
    compact.replace(at, 3, ".");
  Equation equation;
  size_t arrow = compact.find("->");
  equation.terms = split(compact.substr(0, arrow), ',');
  auto well_formed = [](const std::string& term) {
    return std::ranges::count(term, '.') <= 1 &&
           std::ranges::all_of(term, [](char c) {
             return c == '.' || (c >= 'a' && c <= 'z') ||
                    (c >= 'A' && c <= 'Z');
           });
  };
  if (arrow != std::string::npos) {
    equation.output = compact.substr(arrow + 2);
  } else {
    // Implicit: the ellipsis, then labels that occur once, in order.
    std::map<char, int> seen;
    for (const std::string& term : equation.terms)
      for (char c : term) ++seen[c];
    if (seen.contains('.')) equation.output = ".";
    for (auto [label, count] : seen)
      if (label != '.' && count == 1) equation.output += label;
  }
  if (!well_formed(equation.output) ||
      !std::ranges::all_of(equation.terms, well_formed))
    return std::nullopt;
  return equation;
}

}  // namespace

void infer_einsum(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  std::string text = ctx.node().attr_string("equation", "");
  auto equation = parse(text);
  if (!equation) ctx.fail("equation '" + text + "' is malformed");
  if (equation->terms.size() != ctx.input_count())
    ctx.fail("equation '" + text + "' has " +
             std::to_string(equation->terms.size()) + " operands, but " +
             std::to_string(ctx.input_count()) + " are given");
  std::map<char, Dim> dims;
  Shape ellipsis;
  for (size_t i = 0; i < equation->terms.size(); ++i) {
    const std::string& term = equation->terms[i];
    const Shape* shape = ctx.shape(i);
    if (!shape) return;
    bool open = term.find('.') != std::string::npos;
    size_t labels = term.size() - (open ? 1 : 0);
    if (open ? shape->size() < labels : shape->size() != labels)
      ctx.fail("operand " + std::to_string(i) + " has rank " +
               std::to_string(shape->size()) + ", but equation '" + text +
               "' gives it " + std::to_string(labels) + " labels");
    size_t axis = 0;
    for (char label : term) {
      if (label == '.') {
        size_t count = shape->size() - labels;
        auto at = shape->begin() + static_cast<ptrdiff_t>(axis);
        ellipsis = broadcast(ctx, ellipsis,
                             Shape(at, at + static_cast<ptrdiff_t>(count)));
        axis += count;
        continue;
      }
      auto [it, fresh] = dims.emplace(label, (*shape)[axis]);
      if (!fresh) it->second = broadcast_dim(ctx, it->second, (*shape)[axis]);
      ++axis;
    }
  }
  Shape out;
  for (char label : equation->output) {
    if (label == '.') {
      out.insert(out.end(), ellipsis.begin(), ellipsis.end());
      continue;
    }
    auto it = dims.find(label);
    if (it == dims.end())
      ctx.fail("equation '" + text + "' has the output label '" +
               std::string(1, label) + "', which no operand has");
    out.push_back(it->second);
  }
  ctx.set(0, ctx.elem(0), out);
}

Cost einsum_cost(const Node& node) {
  auto equation = parse(node.attr_string("equation", ""));
  if (!equation || equation->terms.size() != node.inputs().size()) return {};
  // Every output element sums over the labels that are not in the output.
  std::map<char, int64_t> contracted;
  for (size_t i = 0; i < equation->terms.size(); ++i) {
    const std::string& term = equation->terms[i];
    size_t open = term.find('.');
    for (size_t at = 0; at < term.size(); ++at) {
      if (at == open || equation->output.find(term[at]) != std::string::npos)
        continue;
      int64_t axis = static_cast<int64_t>(at);
      if (at > open) axis -= static_cast<int64_t>(term.size());
      int64_t& dim = contracted[term[at]];
      dim = std::max(dim, dim_value(node.input(i), axis));
    }
  }
  int64_t work = elements(node.output(0));
  for (auto [label, dim] : contracted) work = times(work, dim);
  if (equation->terms.size() > 1)
    return mac_cost(
        times(work, static_cast<int64_t>(equation->terms.size()) - 1));
  Cost cost;
  cost.flops = work;
  return cost;
}

}  // namespace lathe::ir
