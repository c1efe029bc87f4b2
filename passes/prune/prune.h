// Structured pruning: removes channels, heads and features for a latency.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/pass.h"
#include "passes/prune/channel_groups.h"

namespace lathe::prune {

// Removes what `selection` leaves out: constants lose positions, attributes and
// shapes follow. Names of nodes and values stay. Error kUnsupported, with the
// node, where a shape that is computed while the model runs cannot follow.
// Every group must keep at least one unit.
void shrink(ir::Model& model, const ChannelGroups& groups,
            const Selection& selection);
// Writes zeros into the weights where shrink() would remove positions. Where no
// group that loses something is rescaling, the outputs are those of the shrunk
// model.
void mask(ir::Model& model, const ChannelGroups& groups,
          const Selection& selection);

// Replaces the sum behind each block (a residual branch, by the id of the
// Add's first output) by what goes around the branch. Error kUsage for a name
// that is no such block.
void remove_blocks(ir::Model& model, const std::vector<std::string>& blocks);

// What is to go: a plan can be written, edited and fed back.
struct Plan {
  Selection selection;              // of ChannelGroups of the model
  std::vector<std::string> blocks;  // removed whole
};

// {"schema_version", "groups": [{"name", "kind", "units", "kept",
// "removed": [unit, …]}], "removed_blocks": [name, …], …}: what the solver
// foretells stands beside it ("prediction", an object) and is not read back.
std::string write_plan(const Plan& plan, const ChannelGroups& groups);
// "kept" alone (a number, without "removed") leaves the choice of units to
// `saliency` ([group][unit]); groups that are not named stay whole. Error
// kInput, a line for each mistake with `where`, line and column (empty: a text
// without a file) and the JSON pointer, for an unknown group (with the nearest
// name), a unit that there is none of, a frozen group, or none left.
Plan read_plan(const std::string& json, const ChannelGroups& groups,
               const std::vector<std::vector<double>>& saliency,
               const std::string& where);
// Whether read_plan would look at the saliency. Error kInput as above, by the
// schema alone.
bool plan_needs_saliency(const std::string& json, const std::string& where);
// The same plan, one line a group: what a plan file looks like.
std::string format_plan(const std::string& json);
// JSON Schema (2020-12) of a plan: docs/schemas/plan.schema.json.
const char* plan_schema();

// What is made of a pruned model before its latency counts.
struct PricedForm {
  std::string name = {};  // "int8"
  // Empty: the model itself counts. The context is the pass's own.
  std::function<ir::Model(const ir::Model&, const PassContext&)> make = {};
};

struct PruneOptions {
  // Microseconds from those of the model as it comes; both estimates, with
  // `confidence`. Without it a plan is needed.
  std::function<double(double dense_us)> latency_limit_us = {};
  // What has to be within the limit. Where it is before anything goes, nothing
  // does.
  PricedForm form = {};
  // With which probability the latency is to lie within the limit.
  double confidence = 0.5;
  std::string plan = {};        // JSON, see above; instead of the solver
  std::string plan_where = {};  // its file, for errors
  int64_t iterations = 1;       // saliency is measured anew before each
  // A row of saliency.h's table; empty: its default where there is data, else
  // by weights.
  std::string saliency = {};
  int64_t samples = 0;      // that saliency and repair look at; 0: default
  double max_ratio = 0.95;  // of a group's units that may go
  int64_t min_units = 1;    // that every group keeps
  // Groups, or nodes, whose group stays whole: names, with * for any run of
  // characters.
  std::vector<std::string> keep = {};
  bool rescaling = false;  // groups that are rescaling may lose units as well
  bool blocks = true;      // whole residual blocks may go
  bool repair = true;
  bool mask = false;  // zeros in their place; nothing gets smaller
};

// prune_channels. Needs a calibrated context.latency for a latency, and
// context.data for a saliency that looks at data and for repair. An
// unreachable limit is error kUnsupported with the least that can be reached
// and what binds it. PassResult::plan is the plan.
std::unique_ptr<Pass> make_prune_channels(PruneOptions options);

struct SparsifyOptions {
  double sparsity = 0.5;  // share of each weight's elements that become zero
  // Instead of it, N:M: at most n of every m elements side by side along what
  // the product sums over stay. 0: none.
  int64_t n = 0, m = 0;
  std::vector<std::string> keep = {};  // nodes left alone, as PruneOptions
};

// sparsify_weights: zeros for the smallest weights of Conv, Gemm and MatMul,
// for runtimes that use them; shapes stay.
std::unique_ptr<Pass> make_sparsify_weights(SparsifyOptions options);

}  // namespace lathe::prune
