# caprl_embed(TARGET NAME FOLDER FILES a.css b.js …): makes <NAME>_files.h, with which TARGET's sources have the files' contents:
# std::string_view <NAME>_file(std::string_view file).
function(caprl_embed target name folder)
  cmake_parse_arguments(arg "" "" "FILES" ${ARGN})
  set(made ${CMAKE_CURRENT_BINARY_DIR}/embedded/${name}_files)
  set(files ${arg_FILES})
  list(TRANSFORM files PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/)
  add_custom_command(
    OUTPUT ${made}.h ${made}.cpp
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DMADE=${made} "-DFILES=${files}" -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${made}.cpp ${made}.h)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/embedded)
endfunction()
