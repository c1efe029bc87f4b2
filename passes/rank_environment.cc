#include "passes/rank_environment.h"

#include <charconv>
#include <cstdlib>
#include <limits>

#include "passes/base/error.h"

namespace lathe {
namespace {

struct Launcher {
  const char* rank;
  const char* ranks;
  const char* local_rank;
  const char* local_ranks;  // "": it does not say
  const char* job;          // "": it has none
  const char* step;         // of the job; "": it has none
};

constexpr Launcher kTorchrun = {"RANK",
                                "WORLD_SIZE",
                                "LOCAL_RANK",
                                "LOCAL_WORLD_SIZE",
                                "TORCHELASTIC_RUN_ID",
                                "TORCHELASTIC_RESTART_COUNT"};
constexpr Launcher kOpenMpi = {"OMPI_COMM_WORLD_RANK",
                               "OMPI_COMM_WORLD_SIZE",
                               "OMPI_COMM_WORLD_LOCAL_RANK",
                               "OMPI_COMM_WORLD_LOCAL_SIZE",
                               "PMIX_NAMESPACE",
                               ""};
constexpr Launcher kMpich = {"PMI_RANK",        "PMI_SIZE", "MPI_LOCALRANKID",
                             "MPI_LOCALNRANKS", "",         ""};
constexpr Launcher kSlurm = {"SLURM_PROCID",  "SLURM_STEP_NUM_TASKS",
                             "SLURM_LOCALID", "",
                             "SLURM_JOB_ID",  "SLURM_STEP_ID"};

constexpr int kDefaultPort = 29500;  // torchrun's
constexpr int kFirstPort = 20000, kPorts = 10000;
// Steps from here on are Slurm's own: batch scripts, shells of salloc.
constexpr int64_t kFirstSpecialStep = 0xfffffff0;

class Environment {
 public:
  explicit Environment(const EnvironmentLookup& lookup) : lookup_(lookup) {}

  // An empty one counts as none.
  std::optional<std::string> text(const char* name) const {
    if (!*name) return std::nullopt;
    std::optional<std::string> value = lookup_(name);
    return value && !value->empty() ? value : std::nullopt;
  }

  bool has(const char* name) const { return text(name).has_value(); }

  std::optional<int64_t> number(const char* name, int64_t low,
                                int64_t high) const {
    const std::optional<std::string> given = text(name);
    if (!given) return std::nullopt;
    int64_t value = 0;
    const char* end = given->data() + given->size();
    const auto [stop, error] = std::from_chars(given->data(), end, value);
    if (error == std::errc() && stop == end && value >= low && value <= high)
      return value;
    const std::string most = high == std::numeric_limits<int64_t>::max()
                                 ? " or more"
                                 : " to " + std::to_string(high);
    throw Error(ErrorKind::kUsage, "environment variable " + std::string(name),
                "it is '" + *given + "', expected a number of " +
                    std::to_string(low) + most);
  }

  int64_t required(const char* name, int64_t low, int64_t high,
                   const char* beside) const {
    if (const std::optional<int64_t> value = number(name, low, high))
      return *value;
    throw Error(ErrorKind::kUsage, "environment variable " + std::string(name),
                "it is not set, but " + std::string(beside) + " is",
                "set both, as the launcher does, or neither");
  }

 private:
  const EnvironmentLookup& lookup_;
};

bool takes_part(const Launcher& launcher, const Environment& from) {
  if (&launcher != &kSlurm)
    return from.has(launcher.rank) || from.has(launcher.ranks);
  return from.has(launcher.ranks) && from.has(launcher.step) &&
         *from.number(launcher.step, 0, std::numeric_limits<int64_t>::max()) <
             kFirstSpecialStep;
}

// "gpu[03-05,9],login" -> "gpu03".
std::string first_node(const std::string& list) {
  std::string name;
  for (size_t i = 0; i < list.size() && list[i] != ','; ++i) {
    if (list[i] != '[') {
      name += list[i];
      continue;
    }
    const size_t close = std::min(list.find(']', i), list.size());
    const std::string inside = list.substr(i + 1, close - i - 1);
    name += inside.substr(0, inside.find_first_of("-,"));
    i = close;
  }
  return name;
}

std::string master_of(const Launcher& launcher, const Environment& from,
                      int64_t ranks) {
  if (const auto given = from.text("MASTER_ADDR")) return *given;
  if (&launcher == &kSlurm) {
    for (const char* list : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"})
      if (const auto nodes = from.text(list)) return first_node(*nodes);
    // Where srun was called; mostly the first node.
    if (const auto node = from.text("SLURM_LAUNCH_NODE_IPADDR")) return *node;
  }
  const auto here = from.number(launcher.local_ranks, 1, ranks);
  if (here && *here < ranks)
    throw Error(ErrorKind::kUsage, "environment variable MASTER_ADDR",
                "it is not set, but only " + std::to_string(*here) + " of " +
                    std::to_string(ranks) + " ranks run on this machine",
                "set it to the address of rank 0's machine on every rank");
  return RankEnvironment{}.master;
}

int port_of(const Launcher& launcher, const Environment& from) {
  if (const auto given = from.number("MASTER_PORT", 1, 65535))
    return static_cast<int>(*given);
  const auto job = from.text(launcher.job);
  if (!job) return kDefaultPort;
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char letter : *job + '.' + from.text(launcher.step).value_or(""))
    hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
  return kFirstPort + static_cast<int>(hash % kPorts);
}

RankEnvironment read(const Launcher& launcher, const Environment& from) {
  RankEnvironment here;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  here.ranks = from.required(launcher.ranks, 1, kMost, launcher.rank);
  here.rank = from.required(launcher.rank, 0, here.ranks - 1, launcher.ranks);
  here.local_rank =
      from.number(launcher.local_rank, 0, here.ranks - 1).value_or(here.rank);
  if (here.ranks == 1) return here;
  here.master = master_of(launcher, from, here.ranks);
  here.port = port_of(launcher, from);
  if (from.text("TORCHELASTIC_USE_AGENT_STORE") == "True") {
    here.launcher_serves = true;
    here.store_prefix = "/worker/attempt_" +
                        from.text("TORCHELASTIC_RESTART_COUNT").value_or("0");
  }
  return here;
}

}  // namespace

RankEnvironment rank_environment(const EnvironmentLookup& lookup) {
  const Environment from(lookup);
  for (const Launcher* launcher : {&kTorchrun, &kOpenMpi, &kMpich, &kSlurm})
    if (takes_part(*launcher, from)) return read(*launcher, from);
  return {};
}

RankEnvironment rank_environment() {
  return rank_environment([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
  });
}

}  // namespace lathe
