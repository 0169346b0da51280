# Language level, warnings, linker, ccache and sanitizers for all of caprl's targets.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CAPRL_CCACHE ccache)
if(CAPRL_CCACHE)
  # ccache can reuse objects built with a precompiled header only with these settings.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CAPRL_CCACHE})
endif()

add_library(caprl_options INTERFACE)
target_compile_options(caprl_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-unused-parameter>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>
  # Precompiled headers of the object cache are older than the checkout.
  "$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>"
  # lld 14 mixes up the unwind entries of an empty cold part and the function after it: exceptions would end the program.
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-reorder-blocks-and-partition>)
target_include_directories(caprl_options INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_link_options(caprl_options INTERFACE -fuse-ld=lld)
if(CAPRL_SANITIZE STREQUAL "address")
  target_compile_options(caprl_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=vptr -fno-omit-frame-pointer -g1)
  target_link_options(caprl_options INTERFACE -fsanitize=address,undefined)
elseif(CAPRL_SANITIZE STREQUAL "thread")
  target_compile_options(caprl_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer -g1)
  target_link_options(caprl_options INTERFACE -fsanitize=thread)
elseif(CAPRL_SANITIZE)
  message(FATAL_ERROR "CAPRL_SANITIZE is '${CAPRL_SANITIZE}'; expected address or thread")
endif()
if(CAPRL_COVERAGE)
  target_compile_options(caprl_options INTERFACE
    -fprofile-instr-generate=${CMAKE_BINARY_DIR}/counts/%4m.profraw -fcoverage-mapping)
  target_link_options(caprl_options INTERFACE -fprofile-instr-generate)
endif()
if(CAPRL_FUZZ)
  target_compile_options(caprl_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
