#include "recipes/shared_meter.h"

#include "passes/base/byte_stream.h"

namespace lathe::recipes {
namespace {

template <class Figures, class Use>
void for_each_figure(Figures& latency, Use use) {
  use(latency.min_us);
  use(latency.p10_us);
  use(latency.median_us);
  use(latency.p90_us);
  use(latency.runs);
  use(latency.noisy);
}

}  // namespace

std::vector<MeasuredLatency> SharedMeter::measure(
    const std::vector<std::filesystem::path>& models) {
  ByteWriter own;
  if (ranks_.rank() == 0) {
    try {
      const std::vector<MeasuredLatency> measured = meter_.measure(models);
      own.add(true);
      own.add(measured.size());
      for (const MeasuredLatency& latency : measured)
        for_each_figure(latency, [&](const auto& figure) { own.add(figure); });
    } catch (const Error& error) {
      own.add(false);
      own.add(error.kind());
      own.add(error.where());
      own.add(error.message());
      own.add(error.hint());
    }
  }
  const std::string bytes = ranks_.gather(own.bytes()).at(0);
  ByteReader first(bytes);
  if (!first.next<bool>()) {
    const auto kind = first.next<ErrorKind>();
    const std::string where = first.next_text(), what = first.next_text();
    throw Error(kind, where, what, first.next_text());
  }
  std::vector<MeasuredLatency> measured(first.next<size_t>());
  for (MeasuredLatency& latency : measured)
    for_each_figure(latency, [&](auto& figure) {
      figure = first.next<std::remove_reference_t<decltype(figure)>>();
    });
  return measured;
}

}  // namespace lathe::recipes
