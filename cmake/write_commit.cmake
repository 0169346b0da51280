# cmake -DGIT=… -DSOURCE=… -DMADE=… -P write_commit.cmake; see CaprlCommit.cmake.
set(commit "")
if(GIT)
  execute_process(COMMAND ${GIT} rev-parse --short=8 HEAD WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT commit MATCHES "^[0-9a-f]+$")
  set(commit unknown)
endif()
file(WRITE ${MADE} "// Made by cmake/write_commit.cmake.
#pragma once

inline constexpr const char* kCommit = \"${commit}\";
")
