module github-runner-kms

go 1.26
