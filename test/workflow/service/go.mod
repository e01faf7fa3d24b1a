module example.com/webppt

go 1.26
