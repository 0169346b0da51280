# caprl_commit(TARGET): gives TARGET's sources commit.h with `kCommit`, the checkout's commit, "unknown" outside of a checkout. It is
# made anew after each commit, and only then.
function(caprl_commit target)
  set(made ${CMAKE_CURRENT_BINARY_DIR}/commit/commit.h)
  find_package(Git QUIET)
  set(moves "")
  if(Git_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} rev-parse --git-path logs/HEAD WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
      OUTPUT_VARIABLE moves OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    cmake_path(ABSOLUTE_PATH moves BASE_DIRECTORY ${CMAKE_SOURCE_DIR})
    if(NOT EXISTS "${moves}" OR IS_DIRECTORY "${moves}")
      set(moves "")
    endif()
  endif()
  add_custom_command(OUTPUT ${made}
    COMMAND ${CMAKE_COMMAND} -DGIT=${GIT_EXECUTABLE} -DSOURCE=${CMAKE_SOURCE_DIR} -DMADE=${made}
      -P ${CMAKE_SOURCE_DIR}/cmake/write_commit.cmake
    DEPENDS ${moves} ${CMAKE_SOURCE_DIR}/cmake/write_commit.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${made})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/commit)
endfunction()
