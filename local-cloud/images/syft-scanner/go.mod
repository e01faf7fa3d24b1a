module syft-scanner

go 1.26
