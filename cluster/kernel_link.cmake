# The user-space half of the kernel client, apart from the rest of this folder: it needs no gRPC.
add_library(omfs_kernel_link STATIC ${CMAKE_CURRENT_LIST_DIR}/kernel_link.cc)
target_link_libraries(omfs_kernel_link PUBLIC omfs_wire)
# omfs_dev.h stands beside the module's sources and includes omfs_wire.h as the module does.
target_include_directories(omfs_kernel_link PUBLIC ${CMAKE_SOURCE_DIR}/proto)
