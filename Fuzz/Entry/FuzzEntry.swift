import FuzzTargets
import Glibc

extension FuzzTarget {
    /// The target that the environment names. One program holds all, as linking it is most of the work.
    fileprivate static let chosen: FuzzTarget = {
        let name = getenv("OPD_FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let target = all.first(where: { $0.name == name }) else {
            print("error: set OPD_FUZZ_TARGET to one of \(all.map(\.name).joined(separator: " "))")
            exit(2)
        }
        return target
    }()
}

// LeakSanitizer's own switch (sanitizer/lsan_interface.h).
@_silgen_name("__lsan_disable") private func stopRecordingAllocations()
@_silgen_name("__lsan_enable") private func recordAllocations()

/// Makes what is made once and kept, before anything is recorded: a compiled template is a tree of enumerations, whose
/// pointers tell their case in bits that LeakSanitizer does not take off, so that it finds nobody who holds the rest.
@_cdecl("LLVMFuzzerInitialize")
public func fuzzInitialize(
    _ count: UnsafeMutablePointer<Int32>?, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> Int32 {
    stopRecordingAllocations()
    FuzzTarget.makeWhatIsKept()
    recordAllocations()
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    do {
        try FuzzTarget.chosen.run(Array(UnsafeBufferPointer(start: data, count: size)))
    } catch {
        // A process that ends so is what libFuzzer takes for a finding.
        fatalError("\(error)")
    }
    return 0
}
