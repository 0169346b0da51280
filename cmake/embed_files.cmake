# cmake -DNAME=… -DMADE=… -DFILES=… -P embed_files.cmake: writes MADE.h and MADE.cpp; see CaprlEmbed.cmake.
file(WRITE ${MADE}.h "// Made by cmake/embed_files.cmake.
#pragma once
#include <string_view>

namespace caprl {

/// The content of one of the embedded files; empty for another name.
std::string_view ${NAME}_file(std::string_view file);

}  // namespace caprl
")
set(cases "")
foreach(file ${FILES})
  get_filename_component(short ${file} NAME)
  file(READ ${file} content)
  string(APPEND cases "  if (file == \"${short}\") return R\"~~~(${content})~~~\";\n")
endforeach()
file(WRITE ${MADE}.cpp "#include \"${NAME}_files.h\"

namespace caprl {

std::string_view ${NAME}_file(std::string_view file) {
${cases}  return {};
}

}  // namespace caprl
")
