#include "passes/prune/repair_sweep.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "passes/base/jobs.h"
#include "passes/exec/model_part.h"
#include "passes/exec/single_thread.h"
#include "passes/prune/repair_rows.h"

namespace lathe::prune {
namespace {

using Named = exec::Program::Named;

// Values of a batch take so much, where its size is free.
constexpr int64_t kBatchBytes = int64_t{8} << 20;
constexpr int64_t kMostAtOnce = 32;
constexpr int64_t kFewestBatches = 8;
// Rows for each feature of a product, at least, and numbers in all rows at
// most.
constexpr int64_t kRowsPerFeature = 64;
constexpr int64_t kFewestRows = 4096;
constexpr int64_t kMostNumbers = int64_t{1} << 26;
constexpr size_t kMuchHeld = size_t{128} << 20;

bool is_held_out(size_t batch, size_t batches) {
  return batches < 4 ? batch > 0 && batch + 1 == batches : batch % 4 == 3;
}

const ir::Node* only_reader(const ir::Value& value) {
  if (value.is_graph_output() || value.uses().size() != 1) return nullptr;
  const ir::Node* node = value.uses()[0].node;
  return &node->graph() == &value.graph() ? node : nullptr;
}

// The other term of the Add that alone reads the value; null: there is none.
const ir::Value* other_term(const ir::Value& value) {
  const ir::Node* add = only_reader(value);
  if (!add || !add->is("Add")) return nullptr;
  const ir::Value* other = add->input(1 - value.uses()[0].index);
  return other && !other->has_initializer() ? other : nullptr;
}

// What a Relu or Clip that alone reads the value makes of it.
Bounds bounds_behind(const ir::Value& value) {
  const ir::Node* reader = only_reader(value);
  if (!reader) return {};
  if (reader->is("Relu")) return {.low = 0};
  Bounds bounds;
  if (!reader->is("Clip") || reader->input(0) != &value) return {};
  for (size_t i = 1; i < 3; ++i) {
    const ir::Value* bound = reader->input(i);
    if (!bound) continue;
    if (!bound->is_constant() || bound->tensor().size() != 1) return {};
    (i == 1 ? bounds.low : bounds.high) = bound->tensor().to_doubles()[0];
  }
  return bounds;
}

bool has_product(const ir::Model& part) {
  return std::ranges::any_of(part.graph->nodes(), [](const auto& node) {
    std::string reason;
    return find_product(*node, reason).node || !reason.empty();
  });
}

}  // namespace

// Positions of every batch. Rows of held-out batches lie behind the others.
struct Sweep::Draw {
  std::vector<std::vector<int64_t>> positions;
  std::vector<int64_t> begins;  // of a batch's rows
  int64_t fit = 0, all = 0;     // rows

  at::Tensor part(const at::Tensor& rows, size_t batch, int64_t count,
                  int64_t axis) const {
    return rows.slice(axis, begins[batch], begins[batch] + count);
  }
};

// The sum that a product's result goes into.
struct Sweep::Sum {
  std::string now, dense;  // the other term's names
};

Sweep::Sweep(const ir::Model& model, const ir::Model* dense,
             const std::vector<Stop>& stops, int64_t samples, int64_t memory,
             PassContext& context)
    : model_(model),
      dense_model_(dense),
      context_(context),
      seed_(derive_seed(context.seed, "repair")) {
  const exec::SingleThread single;
  std::vector<const ir::Node*> nodes, twins;
  for (const Stop& stop : stops) {
    nodes.push_back(stop.now);
    if (stop.dense) twins.push_back(stop.dense);
  }
  const std::optional<int64_t> fixed = exec::fixed_batch_size(*model.graph);
  int64_t bytes = std::max<int64_t>(1, sample_bytes(model, nodes));
  if (dense) bytes += sample_bytes(*dense, twins);
  const int64_t wanted =
      std::min(samples, context.data->size()) / fixed.value_or(1);
  const int64_t entries =
      std::clamp<int64_t>(memory / bytes, 1, std::max<int64_t>(1, wanted));
  limited_ = entries < wanted;
  const int64_t at_once = std::clamp<int64_t>(
      std::min(kBatchBytes / bytes, entries / kFewestBatches), 1, kMostAtOnce);
  const std::vector<Named> drawn =
      exec::draw_samples(*model.graph, *context.data, entries, seed_, at_once);
  samples_ = static_cast<int64_t>(drawn.size()) * fixed.value_or(at_once);
  now_.emplace(model, drawn, context);
  if (dense) dense_.emplace(*dense, drawn, context);
}

// What is held at most at one of the nodes, for one sample (or fixed batch).
int64_t Sweep::sample_bytes(const ir::Model& model,
                            const std::vector<const ir::Node*>& nodes) const {
  const exec::ExecutionOrder order(*model.graph);
  std::unordered_map<std::string, int64_t> bytes;
  std::vector<std::vector<const ir::Value*>> alive;
  for (const ir::Node* node : nodes) {
    alive.push_back(order.alive(order.position(*node)));
    for (const ir::Value* value : alive.back()) bytes[value->name()] = 0;
  }
  const auto program = exec::Program::compile(
      model, {.trainable = [](const ir::Value&) { return false; }});
  for (auto& [name, size] : bytes)
    program->set_hook(name, [&size = size](const at::Tensor& value) {
      size = static_cast<int64_t>(value.nbytes());
      return value;
    });
  const at::NoGradGuard no_grad;
  program->run(exec::draw_samples(*model.graph, *context_.data, 1, seed_)[0]);
  int64_t most = 0;
  for (const auto& values : alive) {
    int64_t sum = 0;
    for (const ir::Value* value : values) sum += bytes.at(value->name());
    most = std::max(most, sum);
  }
  return most;
}

void Sweep::advance(const Stop& stop) {
  now_->advance(*stop.now);
  if (dense_ && stop.dense) dense_->advance(*stop.dense);
  // What was held before is free, but lies between what is held now.
  if (now_->bytes() + (dense_ ? dense_->bytes() : 0) > kMuchHeld)
    ::malloc_trim(0);
}

std::optional<Sweep::Draw> Sweep::draw(const ProductPair& pair) const {
  const size_t batches = now_->samples();
  const int64_t numbers =
      pair.now.groups * pair.now.features + 3 * pair.now.outputs;
  const int64_t rows =
      std::min(std::max(kFewestRows, kRowsPerFeature * pair.now.features),
               std::max<int64_t>(1, kMostNumbers / numbers));
  const int64_t wanted = rows / static_cast<int64_t>(batches) + 1;
  Draw draw;
  std::vector<int64_t> counts(batches);
  for (size_t i = 0; i < batches; ++i) {
    const ProductRows now(pair.now, now_->held(i, pair.now.input()->name()));
    const ProductRows dense(pair.dense,
                            dense_->held(i, pair.dense.input()->name()));
    if (!now.same_places(dense)) return std::nullopt;
    const int64_t each = std::max<int64_t>(1, now.rows_each());
    Random random(
        derive_seed(seed_, pair.now.node->id() + "#" + std::to_string(i)));
    draw.positions.push_back(now.draw((wanted + each - 1) / each, random));
    counts[i] =
        static_cast<int64_t>(draw.positions[i].size()) * now.rows_each();
    if (!is_held_out(i, batches)) draw.fit += counts[i];
  }
  int64_t fit = 0;
  draw.all = draw.fit;
  for (size_t i = 0; i < batches; ++i) {
    int64_t& next = is_held_out(i, batches) ? draw.all : fit;
    draw.begins.push_back(next);
    next += counts[i];
  }
  return draw;
}

std::optional<Sweep::Sum> Sweep::sum_behind(const ProductPair& pair) const {
  const ir::Value* term = other_term(*pair.now.result());
  const ir::Value* dense_term = other_term(*pair.dense.result());
  if (!term || !dense_term ||
      only_reader(*pair.now.result())->output()->name() !=
          only_reader(*pair.dense.result())->output()->name())
    return std::nullopt;
  // Whatever still changes it comes later, and then this result is known.
  if (has_product(now_->part({term->name()}))) return std::nullopt;
  return Sum{term->name(), dense_term->name()};
}

// Sets what is added to the rows. False where it is not shaped like them.
bool Sweep::add_terms(const ProductPair& pair, const Draw& draw, const Sum& sum,
                      Rows& rows) const {
  const at::Tensor kept = at::tensor(pair.kept, at::kLong);
  const at::Tensor around = at::empty_like(rows.y);
  std::atomic<bool> fits{true};
  const auto compute = [&](const exec::StagedRun& run, const Product& product,
                           const std::string& name, auto&& take) {
    run.compute({name}, [&](size_t i, std::vector<at::Tensor> values) {
      const ProductRows places(product, run.held(i, product.input()->name()));
      const at::Tensor found = places.given(values[0], draw.positions[i]);
      if (found.defined() && found.size(1) == product.outputs)
        take(i, found);
      else
        fits = false;
    });
  };
  compute(*now_, pair.now, sum.now, [&](size_t i, const at::Tensor& found) {
    draw.part(around, i, found.size(0), 0).copy_(found);
  });
  if (!fits) return false;
  const at::Tensor lacking = at::empty_like(rows.y);
  compute(*dense_, pair.dense, sum.dense,
          [&](size_t i, const at::Tensor& found) {
            draw.part(lacking, i, found.size(0), 0)
                .copy_(found.index_select(1, kept));
          });
  if (!fits) return false;
  rows.lacking = lacking.sub_(around);
  rows.around = around;
  return true;
}

std::optional<PairRows> Sweep::rows(const ProductPair& pair) const {
  const exec::SingleThread outer;
  const at::NoGradGuard no_grad;
  const Product &now = pair.now, &dense = pair.dense;
  const std::optional<Draw> draw = this->draw(pair);
  if (!draw || draw->fit == 0) return std::nullopt;
  const Affine affine = dense.read();
  const at::Tensor weights = affine.weights.transpose(1, 2).to(at::kFloat);
  const at::Tensor kept = at::tensor(pair.kept, at::kLong);
  at::Tensor intercept;
  if (affine.intercept.defined())
    intercept = affine.intercept.index_select(0, kept).to(at::kFloat);
  Rows all;
  all.x = at::empty({now.groups, draw->all, now.features});
  all.y = at::empty({draw->all, now.outputs});
  parallel_for(now_->samples(), context_.jobs, [&](size_t i) {
    context_.check_cancelled();
    const at::NoGradGuard none;
    const exec::SingleThread single;
    const auto& positions = draw->positions[i];
    const at::Tensor x =
        ProductRows(now, now_->held(i, now.input()->name())).read(positions);
    // [groups, rows, outputs of a group] -> [rows, outputs]
    at::Tensor y =
        at::bmm(ProductRows(dense, dense_->held(i, dense.input()->name()))
                    .read(positions),
                weights)
            .permute({1, 0, 2})
            .reshape({x.size(1), -1})
            .index_select(1, kept);
    if (intercept.defined()) y.add_(intercept);
    draw->part(all.x, i, x.size(1), 1).copy_(x);
    draw->part(all.y, i, x.size(1), 0).copy_(y);
  });
  PairRows rows;
  const ir::Value* result = now.result();
  const auto sum = sum_behind(pair);
  if (sum && add_terms(pair, *draw, *sum, all))
    result = only_reader(*result)->output();
  rows.bounds = bounds_behind(*result);
  rows.all = all;
  rows.fit = all.slice(0, draw->fit);
  rows.check = draw->fit < draw->all ? all.slice(draw->fit, draw->all) : all;
  return rows;
}

void Sweep::channel_moments(const std::string& value, at::Tensor& mean,
                            at::Tensor& variance) const {
  std::vector<at::Tensor> sums(now_->samples());
  std::vector<double> counts(now_->samples());
  parallel_for(now_->samples(), context_.jobs, [&](size_t i) {
    context_.check_cancelled();
    const at::NoGradGuard no_grad;
    const exec::SingleThread single;
    const at::Tensor& x = now_->held(i, value);
    const at::Tensor rows =
        x.movedim(1, 0).reshape({x.size(1), -1}).to(at::kDouble);
    sums[i] = at::stack({rows.sum(1), rows.square().sum(1)});
    counts[i] = static_cast<double>(rows.size(1));
  });
  double count = counts[0];
  at::Tensor sum = sums[0];
  for (size_t i = 1; i < sums.size(); ++i) {
    sum = sum + sums[i];
    count += counts[i];
  }
  mean = sum[0] / count;
  variance = (sum[1] / count - mean.square()).clamp_min(0);
}

}  // namespace lathe::prune
