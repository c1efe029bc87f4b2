#include "calibration/latency/estimator/device_file.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "calibration/latency/estimator/devices.h"
#include "calibration/latency/estimator/embedded.h"
#include "calibration/latency/estimator/profiler.h"
#include "calibration/latency/probe/describe_device.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "tests/calibration/estimator/made_up_device.h"
#include "tests/support/shared.h"

namespace lathe::latency {
namespace {

TEST_CASE("device file: the published schema is the one that is checked") {
  const auto path = std::filesystem::path(LATHE_SOURCE_DIR) / "docs" /
                    "schemas" / "device.schema.json";
  const std::string made = device_schema().dump(2) + "\n";
  if (std::getenv("LATHE_WRITE_SCHEMAS")) write_file_atomic(path, made);
  CHECK_MESSAGE(read_file(path) == made,
                "run the tests with LATHE_WRITE_SCHEMAS=1 to write it again");
}

TEST_CASE("device file: the embedded profiles are whole and named alike") {
  REQUIRE_FALSE(embedded_profiles().empty());
  for (const EmbeddedProfile& embedded : embedded_profiles()) {
    CAPTURE(embedded.name);
    const DeviceFile file =
        device_file_from_text(std::string(embedded.json), "embedded");
    CHECK(file.device.name == embedded.name);
    CHECK(find_column(file, 1) != nullptr);
    // Written again it is the same, to the byte.
    CHECK(to_text(file) == embedded.json);
  }
}

TEST_CASE("device file: what is no profile says what one is") {
  const auto error = [](const char* text) {
    try {
      device_file_from_text(text, "p.json");
    } catch (const Error& failed) {
      return std::string(failed.what());
    }
    return std::string("no error");
  };
  CHECK(error("{}") ==
        "p.json:1:1: this is no device profile: the key 'format' with the "
        "value 'lathe-device-profile' is expected (`lathe profile -o "
        "device.json` writes one)");
  CHECK(error(R"({"format": "lathe-device-profile"})") ==
        "p.json:1:1: the profile has no 'schema_version'");
  CHECK(error(R"({"format": "lathe-device-profile", "schema_version": "2"})") ==
        "p.json:1:54: /schema_version: the profile is of version \"2\", this "
        "program reads version 1 (profile the device again with `lathe "
        "profile`)");
}

TEST_CASE("traits: what the runtime does follows from the instruction sets") {
  DeviceDescription device;
  device.architecture = "x86-64";
  device.instruction_sets = {"avx2"};
  CHECK(traits_of(device).nchwc_block == 8);
  CHECK(traits_of(device).unsigned_activations);
  device.instruction_sets.push_back("avx512f");
  CHECK(traits_of(device).nchwc_block == 16);
  device.architecture = "arm64";
  CHECK(traits_of(device).nchwc_block == 0);
  CHECK_FALSE(traits_of(device).unsigned_activations);
}

TEST_CASE("devices: without a stored profile the embedded default answers") {
  const OpenedDevice device = open_device("", 1);
  CHECK(device.source == "the embedded profile");
  CHECK(device.file.empty());
  CHECK(device.model->calibrated());
  // More threads than were measured: the analytic profile, not an error.
  CHECK_FALSE(open_device("", 64).model->calibrated());
  // What is quantized for no device in particular runs here.
  CHECK(device.traits->name == describe_device().name);
}

TEST_CASE("devices: what quantization needs to know of a processor") {
  auto traits = [](const char* architecture, std::vector<std::string> sets) {
    DeviceDescription device;
    device.name = "made up";
    device.architecture = architecture;
    device.instruction_sets = std::move(sets);
    return integer_traits(device);
  };
  CHECK(traits("x86-64", {"avx2", "avx512f"})->pairs_saturate);
  CHECK(traits("x86-64", {"avx2"})->unsigned_activations);
  CHECK_FALSE(traits("x86-64", {"avx512_vnni", "avx512f"})->pairs_saturate);
  CHECK_FALSE(traits("x86-64", {"avx2", "avx_vnni"})->pairs_saturate);
  CHECK_FALSE(traits("arm64", {})->unsigned_activations);
  CHECK_FALSE(traits("arm64", {"asimd"})->pairs_saturate);
  CHECK(traits("arm64", {})->name == "made up");
  CHECK_FALSE(traits("x86-64", {}).has_value());
  CHECK_FALSE(traits("riscv64", {"v"}).has_value());
  // Embedded and analytic profiles.
  CHECK_FALSE(open_device("x86-64-avx512-vnni", 1).traits->pairs_saturate);
  CHECK(open_device("x86-64-avx2", 1).traits->pairs_saturate);
  CHECK(open_device("x86-64-avx2", 1).traits->name == "x86-64-avx2");
  CHECK_FALSE(open_device("arm64-neon-dotprod", 1).traits->pairs_saturate);
  CHECK_FALSE(
      open_device("arm64-neon-dotprod", 1).traits->unsigned_activations);
}

TEST_CASE("devices: a file of this machine says so, another's does not") {
  Measurements m = made_up_measurements({.networks = 12});
  test::TempDir folder;
  const auto path = (folder.path() / "device.json").string();
  write_file_atomic(path, to_text(fit_device(m)));
  CHECK_FALSE(open_device(path, 1).of_this_machine);
  m.device = describe_device();
  write_file_atomic(path, to_text(fit_device(m)));
  CHECK(open_device(path, 1).of_this_machine);
  m.device.cpu = "another";
  write_file_atomic(path, to_text(fit_device(m)));
  CHECK_FALSE(open_device(path, 1).of_this_machine);
}

}  // namespace
}  // namespace lathe::latency
