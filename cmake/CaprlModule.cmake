# caprl_module(NAME SOURCES a.cpp … USES modules and libraries … [TORCH] [PCH file])
# One static library caprl_<NAME> from src/<NAME>, with a precompiled header shared with the modules like it. TORCH: it may include
# Torch. PCH: a precompiled header of its own.
function(caprl_module name)
  cmake_parse_arguments(arg "TORCH" "PCH" "SOURCES;USES" ${ARGN})
  add_library(caprl_${name} STATIC ${arg_SOURCES})
  target_link_libraries(caprl_${name} PUBLIC caprl_options ${arg_USES})
  if(arg_TORCH)
    target_link_libraries(caprl_${name} PUBLIC caprl_torch)
  endif()
  if(arg_PCH)
    target_precompile_headers(caprl_${name} PRIVATE ${arg_PCH})
  elseif(arg_TORCH)
    target_precompile_headers(caprl_${name} REUSE_FROM caprl_pch)
  else()
    target_precompile_headers(caprl_${name} REUSE_FROM caprl_pch_plain)
  endif()
endfunction()

# Tests are compiled once and run for seconds.
set(caprl_test_options $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-O0>)

# caprl_test(NAME SOURCES a_test.cpp … USES modules … [TORCH] [OWN_PCH]): one GoogleTest executable test_<NAME>. OWN_PCH: its
# compiler options are its own, and so is its precompiled header.
function(caprl_test name)
  cmake_parse_arguments(arg "TORCH;OWN_PCH" "" "SOURCES;USES" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  target_link_libraries(test_${name} PRIVATE caprl_options ${arg_USES} GTest::gtest_main GTest::gmock)
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_compile_options(test_${name} PRIVATE ${caprl_test_options})
  target_compile_definitions(test_${name} PRIVATE
    CAPRL_SOURCE_DIR="${CMAKE_SOURCE_DIR}" CAPRL_TEST_FILES="${CMAKE_SOURCE_DIR}/tests/golden"
    CAPRL_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  if(arg_TORCH)
    target_link_libraries(test_${name} PRIVATE caprl_torch)
    target_precompile_headers(test_${name} REUSE_FROM caprl_test_pch_torch)
  elseif(NOT arg_OWN_PCH)
    target_precompile_headers(test_${name} REUSE_FROM caprl_test_pch)
  endif()
  add_test(NAME ${name} COMMAND test_${name})
  set(seconds 600)
  if(CAPRL_SANITIZE)
    set(seconds 3000)
  endif()
  # Threads that spin while they wait make tiny models slow on a busy machine.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${seconds} ENVIRONMENT OMP_WAIT_POLICY=PASSIVE)
endfunction()

# cpu_kernels(NAME LANES OPTIONS…): the CPU's kernels (src/ops/cpu) for one instruction set: its name, floats of a vector, the
# compiler's options.
function(cpu_kernels name lanes)
  set(sources adamw attention gated_product group_rows product rows softmax table)
  list(TRANSFORM sources PREPEND ${CMAKE_SOURCE_DIR}/src/ops/cpu/)
  list(TRANSFORM sources APPEND .cpp)
  add_library(caprl_cpu_${name} OBJECT ${sources})
  target_link_libraries(caprl_cpu_${name} PRIVATE caprl_options)
  target_include_directories(caprl_cpu_${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(caprl_cpu_${name} PRIVATE CAPRL_ISA=${name} CAPRL_LANES=${lanes})
  # Vector code also of selects; NaN and infinities keep their meaning.
  target_compile_options(caprl_cpu_${name} PRIVATE
    -O3 -ffp-contract=fast -fno-trapping-math -fno-math-errno -fno-signed-zeros -Wno-psabi ${ARGN})
endfunction()
