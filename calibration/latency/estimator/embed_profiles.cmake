# cmake -DOUT=file.cc -DPROFILES="a.json;b.json" -P embed_profiles.cmake
# Writes embedded_profiles(): each file's bytes by the assembler's .incbin, which
# takes no time where a string literal of a megabyte takes seconds.
set(rows "")
set(data "")
set(externs "")
set(index 0)
foreach(file ${PROFILES})
  get_filename_component(name ${file} NAME_WE)
  string(APPEND data "__asm__(\".section .rodata\\n\"\n"
    "        \"lathe_profile_${index}:\\n.incbin \\\"${file}\\\"\\n\"\n"
    "        \"lathe_profile_${index}_end:\\n.byte 0\\n\"\n"
    "        \".global lathe_profile_${index}, lathe_profile_${index}_end\\n\"\n"
    "        \".text\\n\");\n")
  string(APPEND externs "extern \"C\" const char lathe_profile_${index}[], "
    "lathe_profile_${index}_end[];\n")
  string(APPEND rows "      {\"${name}\", {lathe_profile_${index}, "
    "static_cast<size_t>(lathe_profile_${index}_end - "
    "lathe_profile_${index})}},\n")
  math(EXPR index "${index} + 1")
endforeach()
set(text "// Written by embed_profiles.cmake.
#include \"calibration/latency/estimator/embedded.h\"
#include <cstddef>
#include <vector>
${data}${externs}
namespace lathe::latency {
std::span<const EmbeddedProfile> embedded_profiles() {
  static const std::vector<EmbeddedProfile> kProfiles{
${rows}  };
  return kProfiles;
}
}  // namespace lathe::latency
")
file(WRITE ${OUT} "${text}")
