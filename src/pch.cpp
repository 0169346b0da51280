// Carries the precompiled header that src/pch.h describes.
