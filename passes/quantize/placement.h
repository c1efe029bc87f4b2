// Which of the nodes that can be integer kernels pay as such on a device.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "passes/ir/shape_inference.h"
#include "passes/latency_model.h"
#include "passes/quantize/select_nodes.h"

namespace lathe::quantize {

// One a node, in the graph's order: 1 is an integer kernel.
using Labels = std::vector<char>;

// What a node takes by itself, without Q, DQ and reorders around it. A node
// that another's kernel includes takes nothing.
struct NodeCost {
  double float_us = 0, int8_us = 0;
};

// Asks the latency model about the model with other selections of nodes.
// Weights are not looked at.
class Placement {
 public:
  // `model`'s types are inferred; `candidates` is what select_nodes() chose in
  // it. Both must outlive this. Errors: kInput where shapes stay unknown with
  // `shapes` (and 1 for what they leave open).
  Placement(const ir::Model& model, const Selection& candidates,
            const QuantizeOptions& options, const LatencyModel& latency,
            const ir::InputShapes& shapes);

  const std::vector<ir::Node*>& nodes() const { return nodes_; }
  // Of a candidate.
  Role role(size_t node) const { return candidates_.roles.at(nodes_[node]); }
  const std::vector<NodeCost>& costs() const { return costs_; }
  const Labels& all() const { return all_; }    // every candidate
  const Labels& none() const { return none_; }  // float

  // Of the whole graph, its borders included.
  double latency_us(const Labels& labels);

  // The labels of least time plus the penalties (one a node; empty: none) of
  // the nodes that are integer kernels: a minimum cut of the graph whose edges
  // are the borders. Costs of nodes are taken to be independent of the others'
  // labels; where that errs, fastest() mends it.
  Labels cheapest(const std::vector<double>& penalties_us) const;
  // What cheapest() makes least, without penalties.
  double modelled_us(const Labels& labels) const;

  // The labels of least latency_us() that refine() finds between all() and
  // cheapest().
  Labels fastest();
  // That node with what disappears into it, all else in float.
  Labels alone(size_t node) const;
  // `labels` with the nodes of that part on the other side.
  Labels changed(Labels labels, const std::vector<size_t>& part) const;

  // The part of the candidates that these labels keep.
  Selection select(const Labels& labels) const;

 private:
  // A value between nodes that may differ. Where the producer is no candidate,
  // it is computed in float.
  struct Border {
    std::optional<size_t> producer;
    std::vector<size_t> readers;  // that would take codes
    bool read_in_float = false;   // by others as well
    double to_codes_us = 0, to_float_us = 0;
  };
  Labels closed(Labels labels) const;
  // The nodes on which the two differ, connected ones together.
  std::vector<std::vector<size_t>> parts(const Labels& a,
                                         const Labels& b) const;
  // Better labels than `from`, or `from`: where the two differ, connected parts
  // change sides as long as latency_us() falls; by less than 1% is no gain.
  Labels refine(const Labels& from, const Labels& other);
  ir::Model outlined(const Labels& labels) const;
  // A node and the borders around it.
  struct Sandwich {
    size_t node = 0, output = 0;
    std::vector<size_t> inputs;
  };
  Labels without_sandwiches(Labels labels,
                            const std::vector<double>& penalties_us) const;
  bool is_coded(const Border& border, const Labels& labels) const;
  bool is_between(const Sandwich& sandwich, const Labels& labels) const;
  void find_sandwiches();
  void measure_nodes();
  void find_borders();
  double border_us(const ir::Value& value, bool to_codes) const;
  bool is_image(const ir::Value& value) const;

  const Selection& candidates_;
  const QuantizeOptions& options_;
  const LatencyModel& latency_;
  ir::Model bound_;  // with shapes, its nodes under unique names
  std::vector<ir::Node*> nodes_;
  std::vector<const ir::Node*> bound_nodes_;
  std::map<const ir::Node*, size_t> index_;  // of bound_'s nodes
  Labels all_, none_;
  std::vector<NodeCost> costs_;
  std::vector<Border> borders_;
  std::vector<Sandwich> sandwiches_;
  std::vector<std::pair<size_t, size_t>> ties_;  // have the same label
  std::map<Labels, double> estimated_;
};

}  // namespace lathe::quantize
