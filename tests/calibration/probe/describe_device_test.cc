#include "calibration/latency/probe/describe_device.h"

#include <doctest/doctest.h>

#include "calibration/latency/probe/system_text.h"
#include "calibration/latency/session.h"

namespace lathe::latency {
namespace {

using Sets = std::vector<std::string>;

const char* const kX86 =
    "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: A Fast CPU\n"
    "flags\t\t: fpu sse2 sse4_1 avx avx2 fma avx512f avx512_vnni smep\n"
    "bugs\t\t: none\n\nprocessor\t: 1\nmodel name\t: Another\nflags\t\t: fpu\n";
const char* const kArm =
    "processor\t: 0\nBogoMIPS\t: 108.00\n"
    "Features\t: fp asimd evtstrm aes crc32 fphp asimdhp asimddp\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\n"
    "CPU part\t: 0xd0b\n";

TEST_CASE("what /proc/cpuinfo says on x86") {
  CHECK(instruction_sets(kX86) ==
        Sets{"avx", "avx2", "avx512_vnni", "avx512f", "fma", "sse4_1"});
  CHECK(processor_name(kX86, "") == "A Fast CPU");
}

TEST_CASE("what /proc/cpuinfo says on Arm") {
  CHECK(instruction_sets(kArm) == Sets{"asimd", "asimddp", "asimdhp", "fphp"});
  // No name of the processor: the board's, else the numbers.
  CHECK(processor_name(kArm, std::string("Some Board 4\0", 13)) ==
        "Some Board 4");
  CHECK(processor_name(kArm, "") == "implementer 0x41 part 0xd0b");
}

TEST_CASE("texts that say nothing") {
  CHECK(instruction_sets("").empty());
  CHECK(instruction_sets("flags").empty());
  CHECK(processor_name("", "") == "unknown");
  CHECK(system_name("") == "");
  CHECK(system_name("NAME=x\nPRETTY_NAME=\n") == "");
}

TEST_CASE("names follow from the instruction sets") {
  CHECK(device_name("x86-64", {"avx2", "avx512_vnni", "avx512f"}) ==
        "x86-64-avx512-vnni");
  CHECK(device_name("x86-64", {"avx2", "avx512f"}) == "x86-64-avx512");
  CHECK(device_name("x86-64", {"avx", "avx2"}) == "x86-64-avx2");
  CHECK(device_name("x86-64", {"avx", "avx2", "avx_vnni"}) ==
        "x86-64-avx2-vnni");
  CHECK(device_name("x86-64", {}) == "x86-64");
  CHECK(device_name("arm64", {"asimd", "asimddp"}) == "arm64-neon-dotprod");
  CHECK(device_name("arm64", {"asimd"}) == "arm64-neon");
  CHECK(device_name("riscv64", {}) == "riscv64");
}

TEST_CASE("the system's name") {
  CHECK(system_name("NAME=\"x\"\nPRETTY_NAME=\"An OS 12 (b)\"\n") ==
        "An OS 12 (b)");
  CHECK(system_name("PRETTY_NAME='An OS'") == "An OS");
  CHECK(system_name("PRETTY_NAME=Bare") == "Bare");
}

TEST_CASE("this machine") {
  DeviceDescription device = describe_device();
  CHECK(device.name.starts_with(device.architecture));
  CHECK(!device.cpu.empty());
  CHECK(device.cores >= 1);
  CHECK(device.os.find("Linux") != std::string::npos);
  CHECK(device.runtime == "onnxruntime");
  CHECK(device.runtime_version == runtime_version());
}

}  // namespace
}  // namespace lathe::latency
