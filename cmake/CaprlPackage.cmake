# What `find_package(caprl)` finds after `cmake --install build/cpu --prefix DIR`: headers, archives, caprl-config.cmake;
# and the programs. In the preset cuda an installation is the bundle (CaprlInstall.cmake), and this is its component caprl-dev.
include(CMakePackageConfigHelpers)
set(component COMPONENT caprl-dev)
if(CAPRL_CUDA)
  list(APPEND component EXCLUDE_FROM_ALL)
else()
  install(TARGETS caprl caprl-train caprl-core RUNTIME DESTINATION bin)
endif()

foreach(module core io http checkpoint ops dist text image models generation reward data train tasks cli kernels)
  if(TARGET caprl_${module})
    install(TARGETS caprl_${module} ARCHIVE DESTINATION lib/caprl ${component})
  endif()
endforeach()
install(DIRECTORY include/caprl DESTINATION include ${component})

set(package lib/cmake/caprl)
configure_package_config_file(cmake/caprl-config.cmake.in ${CMAKE_BINARY_DIR}/caprl-config.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/caprl-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/caprl-config.cmake ${CMAKE_BINARY_DIR}/caprl-config-version.cmake
  cmake/CaprlDependencies.cmake cmake/CaprlTorch.cmake cmake/CaprlArrow.cmake DESTINATION ${package} ${component})
