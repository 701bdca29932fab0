"""The controller: reconciles resources, signs runners' certificates, instructs runners."""
