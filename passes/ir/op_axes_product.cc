// Axes of convolutions, matrix products and recurrent layers.
#include <algorithm>
#include <map>
#include <string>

#include "passes/ir/op_axes.h"

namespace lathe::ir {
namespace {

constexpr const char* kWindowReason = "it is an axis of a convolution's window";

int64_t groups_of(const Node& node) {
  const int64_t groups = node.attr_int("group", 1);
  if (groups < 1) throw RankMismatch();
  return groups;
}

void fix_windows(AxisLinks& links) {
  for (size_t axis = 2; axis < links.in(1).size(); ++axis)
    links.fix(links.in(1, axis), kWindowReason);
  for (size_t axis = 2; axis < links.in(0).size(); ++axis)
    links.fix(links.in(0, axis),
              links.node().label() + " moves a window over it");
}

void set_channels(AxisLinks& links, const Axis& channels) {
  Axis out = channels;
  if (links.has_input(2)) {
    links.computes(2, 0);
    out = links.same(out, links.in(2, 0));
  }
  std::vector<Axis> axes = links.fixed_out();
  if (axes.size() < 2) throw RankMismatch();
  axes[1] = out;
  links.fix(links.in(0, 0), links.node().label() + " counts it as samples");
  links.set_out(0, std::move(axes));
}

// Weight [out, in / group, …].
void link_conv(AxisLinks& links) {
  const int64_t groups = groups_of(links.node());
  const Axis in = links.in(0, 1), out = links.in(1, 0), each = links.in(1, 1);
  fix_windows(links);
  links.computes(1, 0);
  if (groups == 1) {
    links.reads(1, 1);
    links.same(in, each);
    return set_channels(links, out);
  }
  const int64_t in_sizes[] = {groups, in.size / groups};
  const int64_t out_sizes[] = {groups, out.size / groups};
  const std::vector<Axis> in_parts = links.parted(in, in_sizes);
  const std::vector<Axis> out_parts = links.parted(out, out_sizes);
  links.same(in_parts[0], out_parts[0]);
  if (each.size > 1) {
    links.reads(1, 1);
    links.same(in_parts[1], each);
  }
  set_channels(links, out);
}

void shrink_conv(AxisEdits& edits) {
  if (edits.node().attr_int("group", 1) == 1 || !edits.in_changed(0, 1)) return;
  const auto each = static_cast<int64_t>(edits.in(1, 1).size());
  const auto in = static_cast<int64_t>(edits.in(0, 1).size());
  edits.node().set_attr("group", in / each);
}

// Weight [in, out / group, …].
void link_conv_transpose(AxisLinks& links) {
  const int64_t groups = groups_of(links.node());
  const Axis in = links.in(0, 1), each = links.in(1, 1);
  fix_windows(links);
  links.same(in, links.in(1, 0));
  links.reads(1, 0);
  links.computes(1, 1);
  if (groups == 1) return set_channels(links, each);
  const int64_t sizes[] = {groups, in.size / groups};
  const Axis parts[] = {links.parted(in, sizes)[0], each};
  set_channels(links, links.joined(parts));
}

void shrink_conv_transpose(AxisEdits& edits) {
  if (edits.node().attr_int("group", 1) == 1 || !edits.out_changed(0, 1))
    return;
  const auto each = static_cast<int64_t>(edits.in(1, 1).size());
  const auto out = static_cast<int64_t>(edits.out(0, 1).size());
  edits.node().set_attr("group", out / each);
}

void link_gemm(AxisLinks& links) {
  const bool turn_a = links.node().attr_int("transA", 0) != 0;
  const bool turn_b = links.node().attr_int("transB", 0) != 0;
  const std::vector<Axis>&a = links.in(0), &b = links.in(1);
  if (a.size() != 2 || b.size() != 2) throw RankMismatch();
  links.same(a[turn_a ? 0 : 1], b[turn_b ? 1 : 0]);
  links.reads(1, turn_b ? 1 : 0);
  links.computes(1, turn_b ? 0 : 1);
  links.reads(0, turn_a ? 0 : 1);
  links.computes(0, turn_a ? 1 : 0);
  std::vector<std::vector<Axis>> terms{{a[turn_a ? 1 : 0], b[turn_b ? 0 : 1]}};
  if (links.has_input(2)) {
    terms.push_back(links.in(2));
    if (!terms[1].empty())
      links.computes(2, static_cast<int64_t>(terms[1].size()) - 1);
  }
  links.set_out(0, broadcast_axes(links, terms, links.out_dims()));
}

void link_matmul(AxisLinks& links) {
  const std::vector<Axis> a = links.in(0), b = links.in(1);
  if (a.empty() || b.empty()) throw RankMismatch();
  const size_t inner_b = b.size() > 1 ? b.size() - 2 : 0;
  links.same(a.back(), b[inner_b]);
  links.reads(1, static_cast<int64_t>(inner_b));
  if (b.size() > 1) links.computes(1, static_cast<int64_t>(b.size()) - 1);
  links.reads(0, static_cast<int64_t>(a.size()) - 1);
  if (a.size() > 1) links.computes(0, static_cast<int64_t>(a.size()) - 2);
  std::vector<int64_t> dims = links.out_dims();
  std::vector<Axis> last;
  if (a.size() > 1) last.push_back(a[a.size() - 2]);
  if (b.size() > 1) last.push_back(b.back());
  dims.resize(dims.size() - last.size());
  const auto batches = [](const std::vector<Axis>& axes) {
    return std::vector<Axis>(axes.begin(),
                             axes.end() - std::min<size_t>(2, axes.size()));
  };
  const std::vector<Axis> inputs[] = {batches(a), batches(b)};
  std::vector<Axis> out = broadcast_axes(links, inputs, dims);
  out.insert(out.end(), last.begin(), last.end());
  links.set_out(0, std::move(out));
}

// A letter is one axis, wherever it stands.
void link_einsum(AxisLinks& links) {
  const Node& node = links.node();
  std::string equation = node.attr_string("equation", "");
  std::erase(equation, ' ');
  const size_t arrow = equation.find("->");
  const auto give_up = [&](const std::string& reason) {
    for (size_t i = 0; i < node.inputs().size(); ++i)
      links.fix_input(i, node.label() + " " + reason);
  };
  if (arrow == equation.npos || equation.find("...") != equation.npos)
    return give_up("has an equation without an explicit result");
  std::map<char, Axis> letters;
  size_t input = 0, axis = 0;
  for (const char letter : equation.substr(0, arrow)) {
    if (letter == ',') {
      ++input;
      axis = 0;
      continue;
    }
    const Axis& here = links.in(input, axis);
    const auto [found, made] = letters.emplace(letter, here);
    if (!made && found->second.size != here.size)
      return give_up("broadcasts a letter");
    if (!made) found->second = links.same(found->second, here);
    const bool stays = equation.find(letter, arrow) != equation.npos;
    if (stays)
      links.computes(input, static_cast<int64_t>(axis));
    else
      links.reads(input, static_cast<int64_t>(axis));
    ++axis;
  }
  std::vector<Axis> out;
  for (const char letter : equation.substr(arrow + 2)) {
    if (!letters.contains(letter)) throw RankMismatch();
    out.push_back(letters.at(letter));
  }
  links.set_out(0, std::move(out));
}

int64_t gates_of(const Node& node) {
  return node.op_type == "LSTM" ? 4 : node.op_type == "GRU" ? 3 : 1;
}

// X [seq, batch, in], W [directions, gates * hidden, in], R [directions,
// gates * hidden, hidden], B [directions, 2 * gates * hidden], initial states
// [directions, batch, hidden], P [directions, 3 * hidden].
void link_recurrent(AxisLinks& links) {
  const Node& node = links.node();
  const int64_t gates = gates_of(node);
  const std::vector<Axis>&x = links.in(0), &w = links.in(1), &r = links.in(2);
  if (x.size() != 3 || w.size() != 3 || r.size() != 3) throw RankMismatch();
  Axis hidden = links.fresh(r[2].size);
  const auto of_gates = [&](int64_t count) {
    const Axis parts[] = {Axis::fixed(count), hidden};
    return links.joined(parts);
  };
  for (const size_t axis : {size_t{0}, size_t{1}})
    links.fix(x[axis], node.label() + " runs along it");
  links.same(x[2], w[2]);
  links.reads(1, 2);
  links.same(w[1], of_gates(gates));
  links.computes(1, 1);
  links.same(r[1], of_gates(gates));
  links.computes(2, 1);
  hidden = links.same(hidden, r[2]);
  links.reads(2, 2);
  if (links.has_input(3)) links.same(links.in(3, 1), of_gates(2 * gates));
  for (const size_t state : {size_t{5}, size_t{6}})
    if (links.has_input(state)) links.same(links.in(state, 2), hidden);
  if (links.has_input(7)) links.same(links.in(7, 1), of_gates(3));
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    std::vector<Axis> out = links.fixed_out(i);
    if (out.empty()) continue;
    out.back() = hidden;
    links.set_out(i, std::move(out));
  }
}

void shrink_recurrent(AxisEdits& edits) {
  if (edits.in_changed(2, 2))
    edits.node().set_attr("hidden_size",
                          static_cast<int64_t>(edits.in(2, 2).size()));
}

}  // namespace

const AxisRule kConvAxes{link_conv, shrink_conv};
const AxisRule kConvTransposeAxes{link_conv_transpose, shrink_conv_transpose};
const AxisRule kGemmAxes{link_gemm};
const AxisRule kMatMulAxes{link_matmul};
const AxisRule kEinsumAxes{link_einsum};
const AxisRule kRecurrentAxes{link_recurrent, shrink_recurrent};

}  // namespace lathe::ir
